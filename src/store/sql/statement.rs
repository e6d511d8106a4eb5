//! Hand-written statements that Diesel prepares once per connection.
//!
//! Diesel never caches an `UPDATE` of its own (`UpdateStatement` has no static query id), and
//! these are a session store's hot statements. Each is a struct of its values, in the order of
//! its text's placeholders. The column names in them are not checked against `schema.rs`; a test
//! runs each on its database.

/// Declares a statement: its values with their SQL types, its text in pieces, one value after
/// each piece but the last. With `returns`, it yields rows of that SQL type.
macro_rules! statement {
    (
        $(#[$doc:meta])*
        $name:ident on $backend:ty, $connection:ty $(, returns $row:ty)?;
        $($text:literal $field:ident: $value:ty as $sql_type:ty),+;
        $end:literal
    ) => {
        $(#[$doc])*
        struct $name {
            $($field: $value,)+
        }

        impl diesel::query_builder::QueryId for $name {
            type QueryId = Self;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::QueryFragment<$backend> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, $backend>,
            ) -> diesel::QueryResult<()> {
                $(
                    out.push_sql($text);
                    out.push_bind_param::<$sql_type, _>(&self.$field)?;
                )+
                out.push_sql($end);
                Ok(())
            }
        }

        $(
            impl diesel::query_builder::Query for $name {
                type SqlType = $row;
            }
        )?

        impl diesel::RunQueryDsl<$connection> for $name {}
    };
}

pub(in crate::store) use statement;
