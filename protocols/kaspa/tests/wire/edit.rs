//! Changes one field deep inside a message, without any code of ours.

/// One field: its number, and where its whole and its value lie.
struct Field {
    number: u32,
    form: u8,
    whole: core::ops::Range<usize>,
    value: core::ops::Range<usize>,
}

/// The message with what `change` makes of the bytes of the first field at the path: its value when it has a length,
/// its whole otherwise; nothing takes the field out.
pub(crate) fn edit(message: &[u8], path: &[u32], change: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let (first, deeper) = path.split_first().expect("a path");
    let found = fields(message).into_iter().find(|field| field.number == *first);
    let field = found.unwrap_or_else(|| panic!("no field {path:?}"));
    let value = &message[field.value.clone()];
    let new = if deeper.is_empty() { change(value) } else { Some(edit(value, deeper, change)) };
    let new = new.map(|value| if field.form == 2 { delimited(*first, &value) } else { value });
    [&message[..field.whole.start], &new.unwrap_or_default(), &message[field.whole.end..]].concat()
}

/// The value of the first field at the path, which has a length.
pub(crate) fn value<'a>(message: &'a [u8], path: &[u32]) -> &'a [u8] {
    path.iter().fold(message, |message, number| {
        let field = fields(message).into_iter().find(|field| field.number == *number).expect("the field is there");
        &message[field.value]
    })
}

/// The message without the first field at the path.
pub(crate) fn without(message: &[u8], path: &[u32]) -> Vec<u8> {
    edit(message, path, &|_| None)
}

/// The message with these bytes as the value of the first field at the path, which has a length.
pub(crate) fn with(message: &[u8], path: &[u32], value: &[u8]) -> Vec<u8> {
    edit(message, path, &|_| Some(value.to_vec()))
}

/// The message with an integer field more, or another value of it: the last counts. The path is that of the message
/// that has it.
pub(crate) fn number(message: &[u8], path: &[u32], field: u32, value: u64) -> Vec<u8> {
    append(message, path, &[varint(u64::from(field) << 3), varint(value)].concat())
}

/// The message with these bytes behind those of the message at the path.
pub(crate) fn append(message: &[u8], path: &[u32], bytes: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        return [message, bytes].concat();
    }
    edit(message, path, &|value| Some([value, bytes].concat()))
}

/// A field with a length.
pub(crate) fn delimited(number: u32, value: &[u8]) -> Vec<u8> {
    [&varint(u64::from(number) << 3 | 2), &varint(value.len() as u64), value].concat()
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn fields(message: &[u8]) -> Vec<Field> {
    let mut at = 0;
    let mut found = Vec::new();
    while at < message.len() {
        let start = at;
        let key = read_varint(message, &mut at);
        let form = (key & 7) as u8;
        let value = match form {
            0 => {
                read_varint(message, &mut at);
                start..at
            }
            2 => {
                let length = read_varint(message, &mut at) as usize;
                at += length;
                at - length..at
            }
            _ => panic!("no such field in the fixtures"),
        };
        found.push(Field { number: (key >> 3) as u32, form, whole: start..at, value });
    }
    found
}

fn read_varint(message: &[u8], at: &mut usize) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = message[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}
