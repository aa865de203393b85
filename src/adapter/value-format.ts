/** DAP's `ValueFormat`. */

import { Fields } from '../protocol/fields.ts'

/** @param fields of a request that may have a `format`. */
export function wantsHex(fields: Fields): boolean {
  const format = fields.raw('format')
  return format !== undefined && new Fields(fields.subject, format).boolean('hex', false)
}
