// Package version says what this binary is: its commit, which the build sets, and the versions of what it is made
// of. It must not know of any command.
package version
