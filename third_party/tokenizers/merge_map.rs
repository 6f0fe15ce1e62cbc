            // Takes the place of upstream's conversion of the merges and of the map that `BpeBuilder::build` makes of them:
            // three look-ups a merge, one after the other, with SipHash, for Gemma a second. Here the merges are shared out
            // among threads that look in an index with a cheaper hash, while this one writes the vocabulary's reverse. The
            // first merge that names an unknown token is the error, as upstream.
            let mut model = builder.build().map_err(Error::custom)?;
            let prefix = model.continuing_subword_prefix.as_ref().map_or(0, |prefix| prefix.len());

            // Eight bytes at a time; a file made to collide costs its reader time, as a longer file would.
            #[derive(Default)]
            struct Hash(u64);
            impl std::hash::Hasher for Hash {
                #[inline]
                fn write(&mut self, bytes: &[u8]) {
                    let mut words = bytes.chunks_exact(8);
                    for word in &mut words {
                        let mut eight = [0; 8];
                        eight.copy_from_slice(word);
                        self.write_u64(u64::from_le_bytes(eight));
                    }
                    self.write_u64(words.remainder().iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
                }

                #[inline]
                fn write_u64(&mut self, word: u64) {
                    let mixed = u128::from(self.0 ^ word) * 0x9E37_79B9_7F4A_7C15;
                    self.0 = mixed as u64 ^ (mixed >> 64) as u64;
                }

                #[inline]
                fn write_u8(&mut self, byte: u8) {
                    self.write_u64(u64::from(byte));
                }

                fn finish(&self) -> u64 {
                    self.0
                }
            }
            let mut index: HashMap<&str, u32, std::hash::BuildHasherDefault<Hash>> = HashMap::default();
            index.reserve(vocab.len());
            index.extend(vocab.iter().map(|(token, id)| (token.as_str(), *id)));

            let id = |token: &str| {
                let unknown = || super::Error::MergeTokenOutOfVocabulary(token.to_owned());
                index.get(token).copied().ok_or_else(unknown)
            };
            let look_up = |first: usize, share: &[Halves]| -> Result<Vec<(Pair, (u32, u32))>, super::Error> {
                let mut joined = String::new();
                let ids = |(i, (a, b)): (usize, &Halves)| {
                    let pair = (id(&a.0)?, id(&b.0)?);
                    joined.clear();
                    joined.push_str(&a.0);
                    joined.push_str(b.0.get(prefix..).ok_or(super::Error::BadMerges(first + i + 1))?);
                    Ok((pair, ((first + i) as u32, id(&joined)?)))
                };
                share.iter().enumerate().map(ids).collect()
            };
            let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(8));
            let size = merges.0.len().div_ceil(threads).max(4096);
            let look_up = &look_up;
            let found: Result<Vec<_>, super::Error> = std::thread::scope(|scope| {
                let start = |(i, share)| scope.spawn(move || look_up(i * size, share));
                let started: Vec<_> = merges.0.chunks(size).enumerate().map(start).collect();
                model.vocab_r = vocab.iter().map(|(token, id)| (*id, token.clone())).collect();
                started.into_iter().map(|share| share.join().expect("looking up merges")).collect()
            });
            let found = found.map_err(Error::custom)?;
            model.merges.reserve(merges.0.len());
            model.merges.extend(found.into_iter().flatten());
            model.vocab = vocab;
            Ok(model)
