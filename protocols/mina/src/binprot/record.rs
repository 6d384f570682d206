//! Writes a layout down once: the declaration is what is read and written, in its order.

/// A record. Its fields are on the wire one behind the other, in the order of the declaration.
macro_rules! record {
    ($(#[$about:meta])* $name:ident<$life:lifetime> { $($(#[$doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<$life> {
            $($(#[$doc])* pub $field: $kind,)*
        }

        impl<$life> $crate::binprot::Binable<$life> for $name<$life> {
            $crate::binprot::record!(methods $life; $($field)*);
        }
    };
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $($(#[$doc])* pub $field: $kind,)*
        }

        impl<'a> $crate::binprot::Binable<'a> for $name {
            $crate::binprot::record!(methods 'a; $($field)*);
        }
    };
    (methods $life:lifetime; $($field:ident)*) => {
        #[inline]
        fn read(
            reader: &mut $crate::binprot::Reader<$life>,
        ) -> Result<Self, $crate::binprot::BinprotError> {
            Ok(Self { $($field: $crate::binprot::Binable::read(reader)?,)* })
        }

        fn write(&self, writer: &mut $crate::binprot::Writer) {
            $($crate::binprot::Binable::write(&self.$field, writer);)*
        }
    };
}

/// A variant. Each constructor says its number, and has one argument or none.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident<$life:lifetime> {
        $($(#[$doc:meta])* $arm:ident $(($kind:ty))? = $number:literal,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name<$life> {
            $($(#[$doc])* $arm $(($kind))?,)*
        }

        impl<$life> $crate::binprot::Binable<$life> for $name<$life> {
            $crate::binprot::choice!(methods $life; $($arm $(($kind))? = $number,)*);
        }
    };
    ($(#[$about:meta])* $name:ident {
        $($(#[$doc:meta])* $arm:ident $(($kind:ty))? = $number:literal,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$doc])* $arm $(($kind))?,)*
        }

        impl<'a> $crate::binprot::Binable<'a> for $name {
            $crate::binprot::choice!(methods 'a; $($arm $(($kind))? = $number,)*);
        }
    };
    (methods $life:lifetime; $($arm:ident $(($kind:ty))? = $number:literal,)*) => {
        #[inline]
        fn read(
            reader: &mut $crate::binprot::Reader<$life>,
        ) -> Result<Self, $crate::binprot::BinprotError> {
            match reader.byte()? {
                $($number => Ok(Self::$arm $((<$kind as $crate::binprot::Binable<$life>>::read(reader)?))?),)*
                _ => Err($crate::binprot::BinprotError::Constructor),
            }
        }

        fn write(&self, writer: &mut $crate::binprot::Writer) {
            match self {
                $($crate::binprot::choice!(pattern value $arm $(($kind))?) => {
                    writer.byte($number);
                    $(<$kind as $crate::binprot::Binable<$life>>::write(value, writer);)?
                })*
            }
        }
    };
    (pattern $value:ident $arm:ident) => {
        Self::$arm
    };
    (pattern $value:ident $arm:ident($kind:ty)) => {
        Self::$arm($value)
    };
}

pub(crate) use {choice, record};
