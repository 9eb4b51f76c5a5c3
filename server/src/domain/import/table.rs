//! From bytes to rows of text: encoding, delimiter, quotes and the shape of the table.

use super::{MAX_FILE_BYTES, Refusal};

/// Children in a file; more than any group of nurseries has.
const MAX_ROWS: usize = 20_000;
const MAX_CELL_CHARS: usize = 1_000;

#[derive(Debug)]
pub(super) struct Table {
    /// As written.
    pub header: Vec<String>,
    pub rows: Vec<Row>,
}

#[derive(Debug)]
pub(super) struct Row {
    /// As a spreadsheet counts.
    pub number: usize,
    /// As many as the header has.
    pub cells: Vec<String>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Table, Vec<Refusal>> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(vec![Refusal::file(format!(
            "the file has {} bytes; export the register only, at most {MAX_FILE_BYTES}",
            bytes.len()
        ))]);
    }
    let text = decode(bytes)?;
    if text.trim().is_empty() {
        return Err(vec![Refusal::file(
            "the file is empty; export it again from the booking system",
        )]);
    }
    let text = unix_lines(&text);
    let delimiter = delimiter(&text);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut records = Vec::new();
    let mut newlines_in_cells = 0;
    let mut record = csv::StringRecord::new();
    while reader
        .read_record(&mut record)
        .map_err(|e| vec![Refusal::file(format!("{e}"))])?
    {
        newlines_in_cells += newlines(&record);
        // The reader stands behind the newline that ended the row. A spreadsheet counts empty rows, and a row whose
        // cells have newlines once.
        let lines = usize::try_from(reader.position().line()).unwrap_or(usize::MAX);
        records.push((lines - 1 - newlines_in_cells, std::mem::take(&mut record)));
        if records.len() > MAX_ROWS {
            return Err(vec![Refusal::file(format!(
                "the file has more than {MAX_ROWS} rows; export the register only"
            ))]);
        }
    }
    if text.matches('"').count() % 2 == 1 {
        // Its newline is in its last cell and was not counted.
        let last = records.last().map(|(row, _)| *row + 1);
        return Err(vec![Refusal {
            row: last,
            ..Refusal::file(
                "a quotation mark is opened and never closed; export the file again, or double the quotation marks that belong to the text",
            )
        }]);
    }
    shape(records)
}

fn decode(bytes: &[u8]) -> Result<String, Vec<Refusal>> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.contains(&0) {
        return Err(vec![Refusal::file(
            "the file is not CSV text; save it as \"CSV UTF-8\"",
        )]);
    }
    let unmarked = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    Ok(match std::str::from_utf8(unmarked) {
        Ok(text) => text.to_owned(),
        // Older spreadsheets write the Western European code page and say so nowhere.
        Err(_) => encoding_rs::WINDOWS_1252.decode(unmarked).0.into_owned(),
    })
}

/// Every row ends with one newline, and so does the last.
fn unix_lines(text: &str) -> String {
    let mut text = text.replace("\r\n", "\n").replace('\r', "\n");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn newlines(record: &csv::StringRecord) -> usize {
    record.iter().map(|cell| cell.matches('\n').count()).sum()
}

/// Whichever of comma, semicolon and tab the first line has more of, outside quotation marks.
fn delimiter(text: &str) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0usize), (b';', 0), (b'\t', 0)];
    for byte in text.bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            other if !quoted => {
                for (delimiter, count) in &mut counts {
                    *count += usize::from(*delimiter == other);
                }
            }
            _ => {}
        }
    }
    // The first of equals wins: a file without any is read as one column and refused for what it lacks.
    counts
        .iter()
        .rev()
        .max_by_key(|(_, count)| *count)
        .map_or(b',', |(delimiter, _)| *delimiter)
}

fn shape(records: Vec<(usize, csv::StringRecord)>) -> Result<Table, Vec<Refusal>> {
    let mut records = records.into_iter();
    let header: Vec<String> = records
        .next()
        .map(|(_, first)| first.iter().map(|cell| cell.trim().to_owned()).collect())
        .unwrap_or_default();
    let mut refusals = Vec::new();
    let mut rows = Vec::new();
    for (number, record) in records {
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        if record.len() != header.len() {
            refusals.push(Refusal {
                row: Some(number),
                ..Refusal::file(format!(
                    "it has {} values and the header {}; export the file again, or put quotation marks around values with a comma",
                    record.len(),
                    header.len()
                ))
            });
            continue;
        }
        for (name, cell) in header.iter().zip(&record) {
            if cell.chars().count() > MAX_CELL_CHARS {
                refusals.push(Refusal::cell(
                    number,
                    name,
                    cell,
                    format!("write at most {MAX_CELL_CHARS} characters"),
                ));
            }
        }
        let cells = record.iter().map(|cell| cell.trim().to_owned()).collect();
        rows.push(Row { number, cells });
    }
    if rows.is_empty() && refusals.is_empty() {
        refusals.push(Refusal::file(
            "the file lists no child; export it again from the booking system",
        ));
    }
    if refusals.is_empty() {
        Ok(Table { header, rows })
    } else {
        Err(refusals)
    }
}
