// Package models lists, inspects and imports checkpoints for the command line.
//
// It owns how they are printed and where an import goes by default. Packages hub and importer do the work; nothing is
// loaded here.
package models
