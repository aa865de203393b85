/** `npm run package`: what is in the file that people install. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unzipSync } from 'fflate'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { packageFiles } from '../../scripts/package/files.ts'

const repositoryFile = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))

describe('the package', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ringside-package-'))
  let contents: Record<string, Uint8Array> = {}
  let size = 0
  const text = (name: string): string => new TextDecoder().decode(contents[name])

  beforeAll(() => {
    const file = join(directory, 'ringside.vsix')
    execFileSync(process.execPath, [repositoryFile('scripts/package.ts'), file], { stdio: 'pipe' })
    const bytes = readFileSync(file)
    size = bytes.length
    contents = unzipSync(bytes)
  }, 120_000)
  afterAll(() => rmSync(directory, { recursive: true }))

  test('has these files and no others', () => {
    expect(Object.keys(contents).sort()).toEqual([
      '[Content_Types].xml',
      'extension.vsixmanifest',
      'extension/CHANGELOG.md',
      'extension/LICENSE',
      'extension/README.md',
      'extension/dist/extension.cjs',
      'extension/dist/language-client.cjs',
      'extension/dist/language-server.mjs',
      'extension/dist/pages/memory-picture.js',
      'extension/dist/pages/rings.js',
      'extension/dist/pages/screen.js',
      'extension/dist/pages/translation.js',
      'extension/dist/ringside.mjs',
      'extension/dist/web/adapter.js',
      'extension/dist/web/extension.cjs',
      'extension/dist/web/language-server.js',
      'extension/docs/pictures/breakpoint.png',
      'extension/docs/pictures/memory-picture.png',
      'extension/docs/pictures/rings.png',
      'extension/docs/pictures/translation.png',
      'extension/guests/entry/entry.asm',
      'extension/guests/entry/kernel.ld',
      'extension/guests/entry/ports.h',
      'extension/guests/include/ringside.h',
      'extension/guests/modes/gates.asm',
      'extension/guests/modes/kernel.c',
      'extension/guests/modes/kernel.h',
      'extension/guests/modes/modes.asm',
      'extension/guests/modes/modes.ld',
      'extension/guests/modes/user.c',
      'extension/guests/prebuilt/bench.elf',
      'extension/guests/prebuilt/modes.elf',
      'extension/guests/prebuilt/tour.elf',
      'extension/guests/prebuilt/virtqueue.elf',
      'extension/guests/tour/interrupts.asm',
      'extension/guests/tour/interrupts.c',
      'extension/guests/tour/kernel.c',
      'extension/guests/tour/kernel.h',
      'extension/guests/tour/paging.c',
      'extension/guests/tour/segments.c',
      'extension/guests/tour/system-calls.c',
      'extension/guests/tour/system-calls.h',
      'extension/guests/tour/tour.ld',
      'extension/guests/tour/user.c',
      'extension/guests/virtqueue/interrupt.asm',
      'extension/guests/virtqueue/kernel.c',
      'extension/guests/virtqueue/virtio.h',
      'extension/media/memory-picture.css',
      'extension/media/page.css',
      'extension/media/rings.css',
      'extension/media/ringside.svg',
      'extension/media/screen.css',
      'extension/media/translation.css',
      'extension/media/walkthrough/breakpoint-condition.md',
      'extension/media/walkthrough/breakpoint-into.md',
      'extension/media/walkthrough/breakpoint-kernel-main.md',
      'extension/media/walkthrough/breakpoint-one-instruction.md',
      'extension/media/walkthrough/breakpoint-over.md',
      'extension/media/walkthrough/breakpoint-power-off.md',
      'extension/media/walkthrough/breakpoint-ring-3.md',
      'extension/media/walkthrough/cr3-four-levels.md',
      'extension/media/walkthrough/cr3-loaded.md',
      'extension/media/walkthrough/cr3-memory.md',
      'extension/media/walkthrough/cr3-physical.md',
      'extension/media/walkthrough/cr3-shared.md',
      'extension/media/walkthrough/cr3-walk.md',
      'extension/media/walkthrough/fault-foreseen.md',
      'extension/media/walkthrough/fault-gate.md',
      'extension/media/walkthrough/fault-handler.md',
      'extension/media/walkthrough/fault-mapped.md',
      'extension/media/walkthrough/fault-mended.md',
      'extension/media/walkthrough/fault-raised.md',
      'extension/media/walkthrough/fault-repeated.md',
      'extension/media/walkthrough/rings-argument.md',
      'extension/media/walkthrough/rings-before-iretq.md',
      'extension/media/walkthrough/rings-stack.md',
      'extension/media/walkthrough/rings-syscall.md',
      'extension/media/walkthrough/rings-sysret.md',
      'extension/media/walkthrough/rings-to-ring-3.md',
      'extension/media/walkthrough/virtqueue-agreed.md',
      'extension/media/walkthrough/virtqueue-data.md',
      'extension/media/walkthrough/virtqueue-interrupt.md',
      'extension/media/walkthrough/virtqueue-kicked.md',
      'extension/media/walkthrough/virtqueue-posted.md',
      'extension/media/walkthrough/virtqueue-ready.md',
      'extension/media/walkthrough/virtqueue-used.md',
      'extension/package.json',
      'extension/syntaxes/gas.language-configuration.json',
      'extension/syntaxes/gas.tmLanguage.json',
      'extension/syntaxes/ld.language-configuration.json',
      'extension/syntaxes/ld.tmLanguage.json',
      'extension/syntaxes/nasm.language-configuration.json',
      'extension/syntaxes/nasm.tmLanguage.json',
      'extension/syntaxes/x86.tmLanguage.json',
    ])
  })

  test('has less than 8 MB', () => {
    expect(size).toBeLessThan(8_000_000)
  })

  test('tells VS Code what it is', () => {
    const { name, publisher, version, engines } = manifest
    expect(text('extension.vsixmanifest')).toContain(
      `<Identity Language="en-US" Id="${name}" Version="${version}" Publisher="${publisher}" />`,
    )
    expect(text('extension.vsixmanifest')).toContain(`Code.Engine" Value="${engines.vscode}"`)
    expect(JSON.parse(text('extension/package.json'))).toEqual(manifest)
  })

  test('names the content type of every file', () => {
    const types = text('[Content_Types].xml')
    for (const file of Object.keys(contents).filter(name => name !== '[Content_Types].xml')) {
      const extension = /\.[^./]+$/.exec(file)?.[0]
      expect(types).toContain(extension === undefined ? `PartName="/${file}"` : `Extension="${extension}"`)
    }
  })

  test('needs nothing but Node.js and VS Code', () => {
    const required = ['extension', 'language-client'].flatMap(name =>
      [...text(`extension/dist/${name}.cjs`).matchAll(/\brequire\("([^"]+)"\)/g)].map(([, module]) => module),
    )
    expect([...new Set(required)].filter(name => !isBuiltin(name)).sort()).toEqual(['./language-client.cjs', 'vscode'])
  })

  test('holds no path of the machine that built it', () => {
    for (const [name, bytes] of Object.entries(contents))
      expect(Buffer.from(bytes).includes(repositoryFile('.')), name).toBe(false)
  })
})

test('a pattern of "files" that finds nothing is an error', () => {
  expect(() => packageFiles(repositoryFile('.'), ['guests/prebuilt/*.exe'])).toThrow(
    'package.json: "files" names guests/prebuilt/*.exe, which is not there',
  )
})
