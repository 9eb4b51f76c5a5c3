//! The JSON Schema of a profile, for editors and other programs that write one.

use crate::profile::PolicyProfile;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};

/// The JSON Schema (draft 2020-12) of a profile. It refuses unknown keys, as reading a profile does.
pub fn schema_json() -> serde_json::Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RefuseUnknownKeys);
    settings
        .into_generator()
        .into_root_schema_for::<PolicyProfile>()
        .to_value()
}

#[derive(Clone, Debug)]
struct RefuseUnknownKeys;

impl Transform for RefuseUnknownKeys {
    fn transform(&mut self, schema: &mut Schema) {
        let has_keys = schema.get("properties").is_some();
        if has_keys && schema.get("additionalProperties").is_none() {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        transform_subschemas(self, schema);
    }
}
