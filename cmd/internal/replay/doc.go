// Package replay sends the requests that `serve --record` wrote down once more, in their order, and makes a run's files of what they
// reuse now, with how the turns compare with those that were recorded.
//
// It owns how a recording is read, what of a request is changed before it is sent again, and the comparison. It must not know flags,
// nor how a server computes; the files are package loop's.
//
// Invariants:
//
//   - A request is sent as it came but for its model, its stream, its limit (one answer of as many tokens as it had) and reprise's own object.
//   - One request at a time, in the order in which they arrived: a turn reuses what it could reuse then.
//   - A line that is no request is an error that names it; only the last one may be cut off, and that is said.
//   - Nothing of what authorizes a request is in a recording, and nothing of it gets into the files.
package replay
