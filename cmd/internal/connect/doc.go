// Package connect writes the agents' own configuration for a running server, and reads it again to see whether it still fits.
//
// It owns where OpenClaw's and Hermes's configuration lies, which of their settings name a server, and what each agent demands of
// one. It must not know flags, load a model or start anything; what is true of the server is asked of the server.
//
// Invariants:
//
//   - an existing file is changed only in the settings that name the server: other keys, their order and comments stay, and
//     a copy of the file as it was lies beside it before the new one takes its place;
//   - a file that cannot be read as what it should be is never written;
//   - writing twice is writing once: what is there already is left alone.
package connect
