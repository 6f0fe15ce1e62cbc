            // Takes the place of upstream's search through all added tokens for each that comes: for Gemma's 6,414 a third
            // of a second. A token that is in added_tokens_map_r stands there under the id that added_tokens_map has for its
            // text: this loop alone writes the maps, both at once, and a text that has an id keeps it (token_to_id looks in
            // added_tokens_map first). So the one place to look is that id's.
            let known = self.added_tokens_map.get(&token.content);
            let known = known.and_then(|id| self.added_tokens_map_r.get(id));
            if token.content.is_empty() || known == Some(token) {
