        // Takes the place of upstream's `MergeType`. Serde tries an untagged enum's forms one after the other on a buffered
        // copy of the value: for 514,906 merges that is a copy of a copy, and two strings of the heap for each. Here a merge
        // is read as what it is, a pair or (in older files) a line, and its halves stay where they stand in the file's text.
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

        type Halves<'a> = (Text<'a>, Text<'a>);

        enum Merge<'a> {
            Pair(Halves<'a>),
            Line(Text<'a>),
        }

        impl<'a> Deserialize<'a> for Merge<'a> {
            fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
                struct Either;
                impl<'a> Visitor<'a> for Either {
                    type Value = Merge<'a>;

                    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                        f.write_str("a merge: two strings, or one with a space between its halves")
                    }

                    fn visit_seq<A: serde::de::SeqAccess<'a>>(self, mut seq: A) -> Result<Merge<'a>, A::Error> {
                        let (first, second) = (seq.next_element()?, seq.next_element()?);
                        match (first, second, seq.next_element::<serde::de::IgnoredAny>()?) {
                            (Some(a), Some(b), None) => Ok(Merge::Pair((a, b))),
                            _ => Err(A::Error::custom("a merge is not of two strings")),
                        }
                    }

                    fn visit_borrowed_str<E: Error>(self, line: &'a str) -> Result<Merge<'a>, E> {
                        Ok(Merge::Line(Text(line.into())))
                    }

                    fn visit_str<E: Error>(self, line: &str) -> Result<Merge<'a>, E> {
                        Ok(Merge::Line(Text(line.to_owned().into())))
                    }
                }
                deserializer.deserialize_any(Either)
            }
        }

        struct MergeList<'a>(Vec<Halves<'a>>);

        impl<'a> Deserialize<'a> for MergeList<'a> {
            fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
                // A file is written in one form: what it says in both cannot be trusted.
                fn of_one_form<E: Error>(same: bool) -> Result<(), E> {
                    if same { Ok(()) } else { Err(E::custom("the merges are pairs and lines, mixed")) }
                }

                fn halves(line: Text) -> Option<Halves> {
                    use std::borrow::Cow::{Borrowed, Owned};
                    let cut = line.0.find(' ').filter(|&at| !line.0[at + 1..].contains(' '))?;
                    Some(match line.0 {
                        Borrowed(s) => (Text(Borrowed(&s[..cut])), Text(Borrowed(&s[cut + 1..]))),
                        Owned(s) => (Text(Owned(s[..cut].to_owned())), Text(Owned(s[cut + 1..].to_owned()))),
                    })
                }

                struct Merges;
                impl<'a> Visitor<'a> for Merges {
                    type Value = MergeList<'a>;

                    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                        f.write_str("a list of merges")
                    }

                    fn visit_seq<A: serde::de::SeqAccess<'a>>(self, mut seq: A) -> Result<MergeList<'a>, A::Error> {
                        let mut merges = vec![];
                        let mut of_lines = None;
                        while let Some(merge) = seq.next_element()? {
                            match merge {
                                Merge::Pair(pair) => {
                                    of_one_form(!*of_lines.get_or_insert(false))?;
                                    merges.push(pair);
                                }
                                Merge::Line(line) => {
                                    of_one_form(*of_lines.get_or_insert(true))?;
                                    if !line.0.starts_with("#version") {
                                        let bad = || A::Error::custom(super::Error::BadMerges(merges.len() + 1));
                                        let pair = halves(line).ok_or_else(bad)?;
                                        merges.push(pair);
                                    }
                                }
                            }
                        }
                        Ok(MergeList(merges))
                    }
                }
                deserializer.deserialize_seq(Merges)
            }
        }

        let mut merges: Option<MergeList> = None;
