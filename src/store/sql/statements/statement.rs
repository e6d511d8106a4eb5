//! Hand-written statements that Diesel prepares once per connection.
//!
//! Diesel never caches its own `UPDATE` statements (`UpdateStatement` has no static query id), and
//! these are a session store's hot statements. Each is a struct of its values, in the order of the
//! placeholders in its text. The column names are not checked against `schema.rs`, but a test runs
//! each statement on its database.

/// Declares a statement: the pieces of its text, with one value and its SQL type after each piece
/// except the last. With `returns`, the statement yields rows of that SQL type.
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
