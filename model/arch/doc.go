// Package arch is the table of architectures: model_type → the package that implements it. It loads a checkpoint
// folder into a model.Model.
package arch
