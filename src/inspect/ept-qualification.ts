/** The exit qualification of an EPT violation in words. */

import {
  EPT_QUALIFICATION_FETCH,
  EPT_QUALIFICATION_READ,
  EPT_QUALIFICATION_TRANSLATED,
  EPT_QUALIFICATION_WRITE,
} from '../engine/processor.ts'

/** SDM vol. 3, table 28-7. */
export function describeEptQualification(qualification: number): string {
  const accesses: string[] = []
  if (qualification & EPT_QUALIFICATION_READ) accesses.push('read')
  if (qualification & EPT_QUALIFICATION_WRITE) accesses.push('write')
  if (qualification & EPT_QUALIFICATION_FETCH) accesses.push('fetch')
  const what = accesses.join(' and ') || 'access'
  return qualification & EPT_QUALIFICATION_TRANSLATED ? what : `${what} of a paging-structure entry`
}
