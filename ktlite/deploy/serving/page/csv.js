// Files of texts in, CSV files in and out, as RFC 4180 has them.

const DELIMITERS = [",", ";", "\t", "|"];

/** Returns the bytes of a file as text, and what it was read as where that is a guess. */
export function decoded(bytes) {
  const [a, b] = new Uint8Array(bytes, 0, Math.min(2, bytes.byteLength));
  const utf16 = { "255,254": "utf-16le", "254,255": "utf-16be" }[`${a},${b}`];
  if (utf16) return { text: new TextDecoder(utf16).decode(bytes), guess: "" };
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), guess: "" };
  } catch {
    return { text: new TextDecoder("windows-1252").decode(bytes), guess: "Windows-1252" };
  }
}

/** Returns the rows of a file by its name, lists of strings; the first has the columns' names. */
export function rowsOf(name, text) {
  if (!/\.txt$/i.test(name)) return parsed(text);
  return [["text"], ...text.split(/\r\n|\r|\n/).filter((line) => line.trim() !== "").map((line) => [line])];
}

/** Returns the rows of a CSV file, lists of strings.
 *
 * The first line says what divides the fields; where nothing does there is one column.
 */
export function parsed(text) {
  const head = text.slice(0, text.search(/\r|\n|$/)).replace(/"(?:[^"]|"")*"/g, "");
  const counts = DELIMITERS.map((d) => head.split(d).length);
  const most = Math.max(...counts);
  const delimiter = most > 1 ? DELIMITERS[counts.indexOf(most)] : null;
  const rows = [];
  let row = [], cell = "", quoted = false, at = 0, line = 1, begin = 1;
  const endCell = () => { row.push(cell); cell = ""; };
  const endRow = () => {
    endCell();
    if (rows.length && row.slice(rows[0].length).some((surplus) => surplus !== "")) {
      throw new Error(`line ${begin} has ${row.length} fields with "${delimiter}" between them, the header ` +
        `has ${rows[0].length}. A text with "${delimiter}" in it needs quotation marks around it.`);
    }
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
  };
  for (; at < text.length; at++) {
    const c = text[at];
    if (c === "\n" || (c === "\r" && text[at + 1] !== "\n")) line++;
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[at + 1] === '"') { cell += c; at++; }
      else quoted = false;
    } else if (c === '"' && cell === "") quoted = true;
    else if (c === delimiter) endCell();
    else if (c === "\n" || c === "\r") { if (c === "\r" && text[at + 1] === "\n") { at++; line++; } endRow(); begin = line; }
    else cell += c;
  }
  if (cell !== "" || row.length) endRow();
  if (quoted) throw new Error("a quotation mark is opened in this file and never closed.");
  return rows;
}

/** Returns rows as the text of a CSV file that spreadsheets open, too. */
export function written(rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return "\ufeff" + rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}

/** Offers a text as a file to download. */
export function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
