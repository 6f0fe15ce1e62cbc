// Takes the place of the upstream crate's `Deserialize for ModelWrapper` (apply.py puts it there). Upstream reads the
// whole model into a generic value, copies that into another, and reads the model out of it: for a vocabulary of 262,144
// tokens two thirds of the load and most of its memory. Here the model is read straight from the file where "type"
// comes first, as in every file that the library itself writes; any other order takes the generic way.
impl<'de> Deserialize<'de> for ModelWrapper {
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: Deserializer<'de>,
    {
        #[derive(Deserialize)]
        enum Kind {
            BPE,
            WordPiece,
            WordLevel,
            Unigram,
        }

        fn read<'de, D: Deserializer<'de>>(kind: Kind, fields: D) -> std::result::Result<ModelWrapper, D::Error> {
            Ok(match kind {
                Kind::BPE => ModelWrapper::BPE(BPE::deserialize(fields)?),
                Kind::WordPiece => ModelWrapper::WordPiece(WordPiece::deserialize(fields)?),
                Kind::WordLevel => ModelWrapper::WordLevel(WordLevel::deserialize(fields)?),
                Kind::Unigram => ModelWrapper::Unigram(Unigram::deserialize(fields)?),
            })
        }

        struct Fields;
        impl<'de> serde::de::Visitor<'de> for Fields {
            type Value = ModelWrapper;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a tokenizer's model")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> std::result::Result<ModelWrapper, A::Error> {
                use serde::de::Error;
                let mut fields = serde_json::Map::new();
                let mut key: Option<String> = map.next_key()?;
                if key.as_deref() == Some("type") {
                    let kind = map.next_value()?;
                    return read(kind, serde::de::value::MapAccessDeserializer::new(map));
                }
                while let Some(name) = key {
                    fields.insert(name, map.next_value()?);
                    key = map.next_key()?;
                }
                if let Some(kind) = fields.remove("type") {
                    let kind = serde_json::from_value(kind).map_err(A::Error::custom)?;
                    return read(kind, serde_json::Value::Object(fields)).map_err(A::Error::custom);
                }
                // Files from before there were types: the first form that fits.
                let value = serde_json::Value::Object(fields);
                for kind in [Kind::BPE, Kind::WordPiece, Kind::WordLevel] {
                    if let Ok(model) = read(kind, value.clone()) {
                        return Ok(model);
                    }
                }
                read(Kind::Unigram, value).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

