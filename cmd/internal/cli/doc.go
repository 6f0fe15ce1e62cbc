// Package cli is the command line: commands, flags, help and exit codes. The substance of a command is in a package
// of its own beside this one, usable without flags.
//
// Invariants:
//
//   - exit 0 on success, 2 on a usage error, 1 otherwise, with one line on stderr that names the thing and says what
//     to do;
//   - every command has an example, and every flag of it names the phase of a turn that it changes;
//   - what is not built yet is refused by name.
package cli
