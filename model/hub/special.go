package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// SpecialIDs are the ids that begin, end and pad a text, as a checkpoint's
// files name them.
type SpecialIDs struct {
	BOS []int32 // at most one in practice
	EOS []int32 // any of them ends a generation
	Pad []int32

	// The tokens' text in tokenizer_config.json, "" where it names none. When
	// TokenizerNames is set that file exists, and its word on BOS is final: a
	// config.json may keep a bos id that the tokenizer does not use (Qwen).
	TokenizerNames     bool
	BOSToken, EOSToken string
}

// idList reads an id, a list of ids, or null.
type idList []int32

func (l *idList) UnmarshalJSON(data []byte) error {
	*l = nil
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]int32)(l))
	}
	var id *int32
	if err := json.Unmarshal(data, &id); err != nil || id == nil {
		return err
	}
	*l = idList{*id}
	return nil
}

// tokenText reads a token written as a string, as an object with its content,
// or as null.
type tokenText string

func (t *tokenText) UnmarshalJSON(data []byte) error {
	var object struct {
		Content string `json:"content"`
	}
	if len(data) > 0 && data[0] == '{' {
		err := json.Unmarshal(data, &object)
		*t = tokenText(object.Content)
		return err
	}
	return json.Unmarshal(data, (*string)(t))
}

type idFields struct {
	BOS idList `json:"bos_token_id"`
	EOS idList `json:"eos_token_id"`
	Pad idList `json:"pad_token_id"`
}

// ReadSpecialIDs collects dir's special ids: generation_config.json's first,
// then config.json's own, then those of its text_config. A file that is not
// there names none; one that cannot be read is an error.
func ReadSpecialIDs(dir string) (SpecialIDs, error) {
	var generation idFields
	if _, err := readJSON(filepath.Join(dir, "generation_config.json"), &generation); err != nil {
		return SpecialIDs{}, err
	}
	var config struct {
		idFields
		Text idFields `json:"text_config"`
	}
	if _, err := readJSON(filepath.Join(dir, "config.json"), &config); err != nil {
		return SpecialIDs{}, err
	}
	var names struct {
		BOS tokenText `json:"bos_token"`
		EOS tokenText `json:"eos_token"`
	}
	found, err := readJSON(filepath.Join(dir, "tokenizer_config.json"), &names)
	if err != nil {
		return SpecialIDs{}, err
	}
	return SpecialIDs{
		BOS:            firstNonEmpty(generation.BOS, config.BOS, config.Text.BOS),
		EOS:            firstNonEmpty(generation.EOS, config.EOS, config.Text.EOS),
		Pad:            firstNonEmpty(generation.Pad, config.Pad, config.Text.Pad),
		TokenizerNames: found,
		BOSToken:       string(names.BOS),
		EOSToken:       string(names.EOS),
	}, nil
}

func firstNonEmpty(lists ...idList) []int32 {
	for _, l := range lists {
		if len(l) > 0 {
			return slices.Clone(l)
		}
	}
	return nil
}

// readJSON decodes the file at path into out; found is false when there is
// none.
func readJSON(path string, out any) (found bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return true, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}
