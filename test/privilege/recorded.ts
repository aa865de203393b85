/** The outcomes recorded from QEMU: a comment that names it, then the lines of pages and of descriptors. */

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Lines } from './compare.ts'

const FILE = fileURLToPath(new URL('recorded.txt', import.meta.url))

export function readRecorded(): Lines {
  const lines = readFileSync(FILE, 'utf8').trimEnd().split('\n').slice(1)
  const first = lines.findIndex(line => line.startsWith('form '))
  return { pages: lines.slice(0, first), descriptors: lines.slice(first) }
}

export function writeRecorded(source: string, { pages, descriptors }: Lines): void {
  writeFileSync(FILE, `# ${source}\n${[...pages, ...descriptors].join('\n')}\n`)
}
