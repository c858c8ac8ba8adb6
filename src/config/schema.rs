//! What a row of the table of keys is, and the macro that makes a configuration out of rows. The rows are in `keys`; `C` is
//! the configuration that they make.

use super::value::{Refusal, Rule, Value};

/// Whether a key can be changed while the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutability {
    /// By `/api/update_config`, at once.
    Mutable,
    /// Only by the files and a restart.
    Fixed,
}

/// One row of the table of keys.
pub struct Row<C> {
    /// As written in be.conf.
    pub name: &'static str,
    /// As `/api/show_config` prints it: `bool`, `int32_t`, `int64_t`, `std::string`.
    pub type_name: &'static str,
    /// Whether it can be changed at run time.
    pub mutability: Mutability,
    /// What it does, with its unit.
    pub doc: &'static str,
    pub(super) rule: Rule,
    pub(super) accepted: fn(Rule) -> String,
    pub(super) render: fn(&C) -> String,
    pub(super) assign: fn(&mut C, &str, Rule) -> Result<(), Refusal>,
    pub(super) is_same: fn(&C, &C) -> bool,
    pub(super) take_over: fn(&mut C, &C),
}

impl<C> Row<C> {
    /// What is accepted, in words.
    pub fn accepted(&self) -> String {
        (self.accepted)(self.rule)
    }

    /// The value it has in `config`.
    pub fn value_in(&self, config: &C) -> String {
        (self.render)(config)
    }

    /// Whether both have the same value, and have it from the same: a default is not what somebody wrote.
    pub(super) fn is_same(&self, one: &C, other: &C) -> bool {
        (self.is_same)(one, other)
    }

    /// Gives `config` the value of `from`, and with it whether it was written.
    pub(super) fn take_over(&self, config: &mut C, from: &C) {
        (self.take_over)(config, from);
    }

    /// Reads `text` into `config`, mutable key or not. On a refusal nothing is changed.
    pub(super) fn assign(&self, config: &mut C, text: &str) -> Result<(), Refusal> {
        (self.assign)(config, text, self.rule)
    }
}

/// Reads a value of type `T` that keeps `rule`.
pub(super) fn read_value<T: Value>(text: &str, rule: Rule) -> Result<T, Refusal> {
    T::parse(&rule.spelled_out(text))
        .and_then(|value| if rule.allows(&value) { Ok(value) } else { Err(Refusal::Validate) })
}

/// Makes `Config`, its defaults and `KEYS` out of rows of
/// `/// what it does` `name: type = default, Mutable | Fixed, rule;`.
macro_rules! config_keys {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, $mutability:ident, $rule:expr;)*) => {
        /// Every key of be.conf that means something here, by its name there; units are in the names or in the
        /// descriptions. Paths that default to a place near the installation are empty in [`Config::default`] and
        /// worked out by [`interpret`](super::interpret()).
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config { $($(#[doc = $doc])+ pub $name: $type,)* }

        impl Default for Config {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// One key of be.conf.
        pub type Key = Row<Config>;

        /// The table of keys, in the order of the shipped be.conf.
        pub static KEYS: &[Key] = &[$(Row {
            name: stringify!($name),
            type_name: <$type as Value>::TYPE_NAME,
            mutability: Mutability::$mutability,
            doc: concat!($($doc),+).trim_ascii(),
            rule: $rule,
            accepted: Rule::accepted::<$type>,
            render: |config| config.$name.render(),
            assign: |config, text, rule| {
                config.$name = read_value(text, rule)?;
                Ok(())
            },
            is_same: |one, other| one.$name == other.$name,
            take_over: |config, from| config.$name.clone_from(&from.$name),
        },)*];
    };
}
pub(super) use config_keys;
