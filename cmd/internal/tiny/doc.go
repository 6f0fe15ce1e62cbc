// Package tiny gives tests copies of the tiny random checkpoints of model/gemma3, to break. They have weights and a
// config, but neither tokenizer nor template.
package tiny
