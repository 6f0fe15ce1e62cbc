// Package model is tokens → logits over a state: the interface that every architecture implements. The
// architectures are packages below this one (gemma3, …), registered by model_type in model/arch; what they
// share is in model/nn and model/weights. model/tokenizer, model/chat, model/sample and model/hub stand beside.
//
// It must not know turns, prompts, prefixes or servers: it is given ids and a state, and feeds the ids.
package model
