#include "bridge.h"
#include <string.h>

extern size_t repriseGrammarTokenize(uintptr_t handle, uint8_t *bytes, size_t n, uint32_t *out, size_t out_len);

static size_t tokenize(const void *handle, const uint8_t *bytes, size_t n, uint32_t *out, size_t out_len) {
  return repriseGrammarTokenize((uintptr_t)handle, (uint8_t *)bytes, n, out, out_len);
}

LlgTokenizer *reprise_grammar_tokenizer(uint32_t vocab, const uint32_t *lens, const uint8_t *bytes, const uint32_t *ends, uint32_t n_ends,
                                        uintptr_t handle, char *error, size_t error_len) {
  LlgTokenizerInitV2 init;
  memset(&init, 0, sizeof init);
  init.struct_size = sizeof init;
  init.vocab_size = vocab;
  init.tok_eos = ends[0];
  init.tok_eos_extra = ends + 1;
  init.tok_eos_extra_count = n_ends - 1;
  init.token_lens = lens;
  init.token_bytes = bytes;
  init.tokenize_assumes_string = true;
  init.tokenize_fn = tokenize;
  init.tokenize_user_data = (const void *)handle;
  return llg_new_tokenizer_v2(&init, error, error_len);
}

void reprise_grammar_init(LlgConstraintInit *init, const LlgTokenizer *tokenizer) {
  memset(init, 0, sizeof *init);
  llg_constraint_init_set_defaults(init, tokenizer);
  init->log_buffer_level = 0;
  init->log_stderr_level = 0;
  init->limits.verbose_errors = false;
}
