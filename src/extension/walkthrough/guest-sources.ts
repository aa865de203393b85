/** Sources of the teaching kernels that come with the extension, and places in them. */

const FILE = /^(?:entry|tour|modes|virtqueue)\/[\w-]+\.(?:c|h|asm|ld)$/

/** Below `guests/`; anything may be asked for in a link. */
export const isGuestSource = (file: unknown): file is string => typeof file === 'string' && FILE.test(file)

/**
 * The line, from 0, of a function, a label or a mark such as `#to-ring-3`; undefined when there is none.
 * @param source text of a file of `guests/`
 */
export function lineOf(source: string, place: string): number | undefined {
  const name = place.replaceAll(/[^\w-]/g, '')
  if (name === '') return undefined
  const wanted = place.startsWith('#')
    ? new RegExp(`(?://|;) #${name}(?![\\w-])`)
    : // A definition begins its line and has its body there; a declaration ends in a semicolon.
      new RegExp(`^(?:${name}:|\\w.*\\b${name}\\(.*\\{$)`)
  const index = source.split('\n').findIndex(line => wanted.test(line))
  return index < 0 ? undefined : index
}
