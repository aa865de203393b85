/** Of what a guest is made: its options, and the files that they name as they are now. */

import { statSync } from 'node:fs'
import type { LaunchOptions } from '../debugger/launch.ts'

/** Equal for equal guests: a kernel that was built anew is another. */
export function ingredientsOf(options: LaunchOptions): string {
  const { program, initrd, symbols, moduleSymbols = [] } = options
  const files = [
    program,
    ...(initrd === undefined ? [] : [initrd]),
    ...symbols.map(({ path }) => path),
    ...moduleSymbols,
  ]
  return JSON.stringify([options, files.map(stampOf)], (_key, value: unknown) =>
    typeof value === 'bigint' ? `${value}n` : value,
  )
}

/** undefined for a file that can't be had: whoever wants it will say so. */
function stampOf(path: string): readonly number[] | undefined {
  try {
    const { mtimeMs, size, ino } = statSync(path)
    return [mtimeMs, size, ino]
  } catch {
    return undefined
  }
}
