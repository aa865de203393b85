/** The program that the scenario runs in the guest, built with its debugging information. */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const READER_SOURCE = fileURLToPath(new URL('guest/reader.c', import.meta.url))

/** Its path in `folder`. It is not placed anywhere by chance, so that its symbols are where it says. */
export function buildReader(folder: string): string {
  const program = join(folder, 'reader')
  const plain = ['-g', '-O1', '-ffreestanding', '-nostdlib', '-static', '-no-pie', '-fno-pic', '-fno-stack-protector']
  execFileSync('gcc', [...plain, '-fcf-protection=none', '-o', program, READER_SOURCE], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return program
}

/** The line with `// #name` in the program's source, from 1. */
export function readerLine(name: string): number {
  const lines = readFileSync(READER_SOURCE, 'utf8').split('\n')
  const index = lines.findIndex(line => line.endsWith(`// #${name}`))
  if (index < 0) throw new Error(`no marker ${name} in ${READER_SOURCE}`)
  return index + 1
}
