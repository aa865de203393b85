/** Which ranges a filter leaves: by words of their rights, names and addresses, or by an address that they contain. */

import { type RangeItem, rightsText } from './picture-model.ts'

/** `rw`, `r-x`, `rwxu-`: each letter or dash in its place. */
const RIGHTS = /^[r-][w-][x-]?[us]?[g-]?$/
const ADDRESS = /^0x[0-9a-f]{1,16}$/

/** @param found an address that the whole filter stands for, if it was evaluated */
export function matches(item: RangeItem, filter: string, found: bigint | undefined): boolean {
  if (found !== undefined && contains(item, found)) return true
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every(word => word === '' || matchesWord(item, word))
}

function matchesWord(item: RangeItem, word: string): boolean {
  if (RIGHTS.test(word) && item.rights.startsWith(word)) return true
  if (ADDRESS.test(word) && contains(item, BigInt(word))) return true
  return textOf(item).includes(word)
}

export const contains = ({ start, end }: RangeItem, address: bigint): boolean => start <= address && address < end

/** All that there is to find, a word of its own each. */
const textOf = ({ key, look, rights, names, mark, body }: RangeItem): string =>
  [
    ...[key, rightsText(rights), look === 'suspicious' ? 'suspicious' : '', ...names],
    ...(body?.contents ?? []).map(({ kind, name }) => `${kind} ${name}`),
    ...(mark === undefined ? [] : [mark, 'changed']),
  ]
    .join('\n')
    .toLowerCase()
