/** Rust's symbols, as its linker sees them, by the names of their source (RFC 2603, "legacy symbol mangling"). */

const ESCAPES: Readonly<Record<string, string>> = {
  SP: '@',
  BP: '*',
  RF: '&',
  LT: '<',
  GT: '>',
  LP: '(',
  RP: ')',
  C: ',',
}

/** `h` and 16 digits, which tell builds of one function apart. */
const HASH = /^h[0-9a-f]{16}$/

/**
 * `_ZN4core3fmt5write17h0123456789abcdefE` as `core::fmt::write`; undefined for what is no such name. Names of the newer
 * scheme (`_R...`) need debugging information: `DebugFile.sourceName` has it.
 */
export function demangleRust(symbol: string): string | undefined {
  const start = /^_?_ZN/.exec(symbol)
  if (start === null) return undefined
  const parts: string[] = []
  let at = start[0].length
  while (symbol[at] !== 'E') {
    const digits = /^\d{1,5}/.exec(symbol.slice(at, at + 5))
    if (digits === null) return undefined
    const from = at + digits[0].length
    at = from + Number(digits[0])
    if (at > symbol.length) return undefined
    parts.push(symbol.slice(from, at))
  }
  // C++ has names of this form too, but no hash at their ends.
  const hash = parts.pop()
  if (hash === undefined || !HASH.test(hash) || parts.length === 0) return undefined
  return parts.map(unescaped).join('::')
}

function unescaped(part: string): string {
  return part
    .replace(/^_\$/, '$')
    .replaceAll('..', '::')
    .replaceAll(/\$(u[0-9a-f]{1,6}|[A-Z]{1,2})\$/g, (written, code: string) => {
      if (!code.startsWith('u')) return ESCAPES[code] ?? written
      const point = Number.parseInt(code.slice(1), 16)
      return point <= 0x10ffff ? String.fromCodePoint(point) : written
    })
}
