/**
 * What `nasm` or `as` says about a source. It runs on a copy in a directory of its own, without a shell, with a clean
 * environment and bounded time and output; only where the user trusts the workspace, since `incbin` and its like read
 * any file.
 */

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Diagnostic, DiagnosticSeverity } from 'vscode-languageserver'
import { pathOf } from '../index/machine-files.ts'
import type { SourceDocument } from '../index/source-document.ts'

const MOST_MILLISECONDS = 10_000
const MOST_OUTPUT = 4 * 1024 * 1024
const LARGEST_LISTING = 64 * 1024 * 1024
const MOST_DIAGNOSTICS = 200

export interface Assembled {
  readonly diagnostics: Diagnostic[]
  /** The listing, when assembling succeeded. */
  readonly listing: string | undefined
}

/** @returns undefined when the assembler is not installed, or can't judge this source. */
export async function assemble(document: SourceDocument, signal: AbortSignal): Promise<Assembled | undefined> {
  const path = pathOf(document.uri)
  // The C preprocessor would have to run first, and `as` takes its lines for comments.
  if (document.dialect === 'gas' && document.lines.some(({ tokens }) => tokens[0]?.text.startsWith('#')))
    return undefined
  const directory = await mkdtemp(join(tmpdir(), 'ringside-asm-'))
  try {
    const source = join(directory, document.dialect === 'nasm' ? 'source.asm' : 'source.s')
    await writeFile(source, `${document.lines.map(({ text }) => text).join('\n')}\n`)
    const include = path === undefined ? [] : [dirname(path)]
    const [program, args] =
      document.dialect === 'nasm' ? nasm(document, directory, source, include) : gnuAs(directory, source, include)
    const { ran, output } = await execute(program, args, directory, signal)
    if (!ran) return undefined
    const diagnostics = parseMessages(document, source, output)
    const listing = join(directory, 'source.lst')
    const size = await stat(listing).then(
      ({ size }) => size,
      () => 0,
    )
    const failed = diagnostics.some(({ severity }) => severity === DiagnosticSeverity.Error)
    return {
      diagnostics,
      listing: failed || size === 0 || size > LARGEST_LISTING ? undefined : await readFile(listing, 'utf8'),
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function nasm(
  { lines }: SourceDocument,
  directory: string,
  source: string,
  include: readonly string[],
): [string, string[]] {
  const flat = lines.some(({ statements }) =>
    statements.some(({ operation }) => operation?.text.toLowerCase() === 'org'),
  )
  const includes = include.map(path => `-I${path}/`)
  const outputs = ['-o', join(directory, 'source.o'), '-l', join(directory, 'source.lst')]
  return ['nasm', ['-f', flat ? 'bin' : 'elf64', ...outputs, ...includes, source]]
}

function gnuAs(directory: string, source: string, include: readonly string[]): [string, string[]] {
  const includes = include.flatMap(path => ['-I', path])
  const listing = `-aln=${join(directory, 'source.lst')}`
  return ['as', ['--64', '--listing-lhs-width=4', listing, '-o', join(directory, 'source.o'), ...includes, source]]
}

function execute(
  program: string,
  args: readonly string[],
  directory: string,
  signal: AbortSignal,
): Promise<{ ran: boolean; output: string }> {
  const options = {
    cwd: directory,
    // NASMENV would add options of its own.
    env: { PATH: process.env.PATH ?? '', LC_ALL: 'C' },
    timeout: MOST_MILLISECONDS,
    killSignal: 'SIGKILL' as const,
    maxBuffer: MOST_OUTPUT,
    signal,
  }
  return new Promise(resolve => {
    execFile(program, [...args], options, (error, _stdout, stderr) => {
      // An exit code is an answer; a missing program, a timeout or an abort is none.
      const ran = error === null || typeof error.code === 'number'
      resolve({ ran, output: stderr })
    })
  })
}

/** `FILE:LINE: [error:] text`, as both assemblers write it; messages about other files are left to those. */
function parseMessages(document: SourceDocument, source: string, output: string): Diagnostic[] {
  const found: Diagnostic[] = []
  for (const text of output.split('\n')) {
    const match =
      /^(.*?):(\d+):\s*(?:\[\w+\]\s*)?(?:(error|fatal|panic|warning|note|Error|Warning|Info):\s*)?(.*)$/.exec(text)
    if (match === null || match[1] !== source || found.length >= MOST_DIAGNOSTICS) continue
    const line = Number(match[2]) - 1
    const at = document.lines[line]
    if (at === undefined) continue
    const start = at.tokens[0]?.start ?? 0
    found.push({
      range: { start: { line, character: start }, end: { line, character: at.tokens.at(-1)?.end ?? at.text.length } },
      severity: /warning/i.test(match[3] ?? '') ? DiagnosticSeverity.Warning : DiagnosticSeverity.Error,
      source: document.dialect === 'nasm' ? 'nasm' : 'as',
      message: match[4].slice(0, 1000),
    })
  }
  return found
}
