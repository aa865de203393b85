/** A translation as lines of text: each level of the guest's tables and, under it, how EPT led to that entry. */

import type { TranslateBody } from '../../src/protocol/custom-requests.ts'

type Ept = NonNullable<NonNullable<TranslateBody['page']>['ept']>
type Row = readonly [step: string, place: string, entry: string, flags: string]

export interface TableOptions {
  /** A line for each EPT entry; otherwise one for each EPT walk. */
  readonly everyEptEntry: boolean
}

export function translationTable(translation: TranslateBody, { everyEptEntry }: TableOptions): string[] {
  const { levels, page } = translation
  const eptRows = (ept: Ept | undefined): Row[] =>
    ept === undefined ? [] : everyEptEntry ? eptEntries(ept) : [eptSummary(ept)]
  const rows: Row[] = [['step', 'entry lies at', 'entry', 'flags']]
  for (const { level, index, entryAddress, entry, flags, ept } of levels)
    rows.push([`${level}[${index}]`, `GPA ${entryAddress}`, wide(entry), flags], ...eptRows(ept))
  if (page !== undefined)
    rows.push(['page', `GPA ${page.gpa}`, pageSize(page.size), permissions(page)], ...eptRows(page.ept))
  return [...splitAddress(translation), '', ...align(rows), '', outcome(translation)]
}

/** Number of page-table entries that the processor read, both dimensions together. */
export function entriesRead({ levels, page }: TranslateBody): number {
  const walks = [...levels.map(level => level.ept), page?.ept]
  return levels.length + walks.reduce((sum, ept) => sum + (ept?.steps.length ?? 0), 0)
}

/** The address taken apart: an index for each level, and the rest for the byte in the page. */
function splitAddress({ linear, levels, page, cr3, paging, access, cpl }: TranslateBody): string[] {
  const head = `${access} ${linear} at CPL ${cpl}, ${paging}, CR3 ${cr3}`
  if (levels.length === 0) return [head]
  const parts = levels.map(({ level, index }) => `${level} ${index}`)
  if (page !== undefined) parts.push(`offset 0x${(BigInt(linear) & BigInt(page.size - 1)).toString(16)}`)
  return [head, `${linear} = ${parts.join(' : ')}`]
}

function eptEntries({ steps, hpa }: Ept): Row[] {
  return steps.map(({ level, index, entryAddress, entry, rights }, i) => {
    const last = i === steps.length - 1
    const found = last ? (hpa === undefined ? ' -> no frame' : ` -> HPA ${hpa}`) : ''
    return [`  EPT ${level}[${index}]`, `HPA ${entryAddress}`, wide(entry), rights + found]
  })
}

function eptSummary({ steps, rights, hpa }: Ept): Row {
  const path = steps.map(({ index }) => index).join(':')
  return [`  EPT ${path}`, hpa === undefined ? 'no host frame' : `-> HPA ${hpa}`, '', rights]
}

function outcome({ page, fault }: TranslateBody): string {
  if (fault !== undefined) {
    const kind =
      fault.kind === 'page-fault'
        ? `page fault, error code ${fault.errorCode} (${fault.errorBits || 'no bit set'})`
        : fault.kind.replaceAll('-', ' ')
    return `This access raises: ${kind}: ${fault.why}`
  }
  return page?.hpa === undefined ? 'no translation' : `It leads to host-physical ${page.hpa}`
}

function permissions({ permissions: { writable, user, executable } }: NonNullable<TranslateBody['page']>): string {
  return [user ? 'user' : 'supervisor', writable ? 'writable' : 'read-only', executable ? 'code' : 'no code'].join(', ')
}

function pageSize(bytes: number): string {
  if (bytes >= 2 ** 30) return `${bytes / 2 ** 30} GiB`
  return bytes >= 2 ** 20 ? `${bytes / 2 ** 20} MiB` : `${bytes / 2 ** 10} KiB`
}

const wide = (entry: string): string => `0x${BigInt(entry).toString(16).padStart(16, '0')}`

function align(rows: readonly Row[]): string[] {
  const width = (column: 0 | 1 | 2): number => Math.max(...rows.map(row => row[column].length))
  const widths = [width(0), width(1), width(2)]
  return rows.map(([step, place, entry, flags]) =>
    `  ${step.padEnd(widths[0])}  ${place.padEnd(widths[1])}  ${entry.padEnd(widths[2])}  ${flags}`.trimEnd(),
  )
}
