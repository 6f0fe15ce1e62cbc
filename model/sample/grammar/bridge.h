// What cgo cannot say in Go: a handle as the library's user data, and the callback that it is for.
#include "llguidance.h"

LlgTokenizer *reprise_grammar_tokenizer(uint32_t vocab, const uint32_t *lens, const uint8_t *bytes, const uint32_t *ends, uint32_t n_ends,
                                        uintptr_t handle, char *error, size_t error_len);
void reprise_grammar_init(LlgConstraintInit *init, const LlgTokenizer *tokenizer);
