// Package shim runs custom kernels on the host, in the place of a GPU: it compiles a kernel, with the very text that
// stands before it on Metal or on CUDA, as C++ against shim.h, whose 32 lanes go in lock step. It is for tests, slow, and
// knows nothing of what a kernel computes.
//
// Invariants: outputs that a kernel does not write are NaN; a kernel that writes beside an array, or whose lanes part
// at an exchange, fails.
package shim
