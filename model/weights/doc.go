// Package weights turns a checkpoint's files into the matrices of model/nn: it finds tensors by name, checks
// their shapes, leaves or casts them as the device wants, and evaluates them one by one, so that a load peaks at
// the weights plus one tensor. Whatever is wrong is reported by the tensor's name.
//
// It must not know architectures: they say which tensors they want, under which names and in which shapes.
package weights
