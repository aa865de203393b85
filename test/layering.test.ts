import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { importsOf, violation } from './support/layering.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

function violationsIn(file: string, source: string): string[] {
  return importsOf(source)
    .map(imported => violation(file, imported))
    .filter(message => message !== undefined)
}

describe('the layering of src/', () => {
  const files = readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' })
    .map(path => `src/${path.replaceAll('\\', '/')}`)
    .filter(path => /\.tsx?$/.test(path))

  test('imports point down only', () => {
    expect(files.length).toBeGreaterThan(10)
    const violations = files.flatMap(file => violationsIn(file, readFileSync(root + file, 'utf8')))
    expect(violations).toEqual([])
  })
})

describe('the layering check', () => {
  test.each([
    ['src/vmm/vm.ts', "import { Machine } from '../machine/machine.ts'"],
    ['src/engine/mmu.ts', "import type { Vm } from '../vmm/vm.ts'"],
    ['src/engine/isa/alu.ts', "export * from '../../debugger/target.ts'"],
    ['src/engine/mmu.ts', "const debug = await import('../adapter/session.ts')"],
    ['src/extension/view.ts', "import { Vm } from '../vmm/vm.ts'"],
    ['src/extension/view.ts', "import { serve } from '../language/server.ts'"],
    ['src/extension/web/view.ts', "import { HandedFiles } from '../../language/web/handed-files.ts'"],
    ['src/cli/main.ts', "import { createConnection } from 'vscode-languageserver/node'"],
    ['src/protocol/launch.ts', "import { walk } from '../inspect/translate.ts'"],
    ['src/boot/linux.ts', "import { Uart } from '../devices/uart/uart.ts'"],
    ['src/devices/ioapic/ioapic.ts', "import { run } from '../../engine/processor.ts'"],
    ['src/devices/uart/uart.ts', "import type { Mmu } from '../../engine/mmu/mmu.ts'"],
    ['src/x86/paging.ts', "import {\n  a,\n  b,\n} from '../engine/state.ts'"],
    ['src/adapter/session.ts', "import * as vscode from 'vscode'"],
    ['src/util/json.ts', "import { CR0_PE } from '../x86/control-registers.ts'"],
    ['src/engine/mmu.ts', "import { helper } from '../../test/support/layering.ts'"],
    ['src/elsewhere/file.ts', "import { readFileSync } from 'node:fs'"],
  ])('refuses in %s: %s', (file, source) => {
    expect(violationsIn(file, source)).toHaveLength(1)
  })

  test.each([
    ['src/machine/machine.ts', "import { Vm } from '../vmm/vm.ts'"],
    ['src/protocol/translate.ts', "import type { Step } from '../inspect/translate.ts'"],
    ['src/devices/virtio/rng/device.ts', "import { clamp } from '../../../util/number.ts'"],
    ['src/devices/ioapic/ioapic.ts', "import type { InterruptMessage } from '../../engine/processor.ts'"],
    ['src/cli/main.ts', "import packageJson from '../../package.json' with { type: 'json' }"],
    ['src/extension/main.ts', "const { startLanguageClient } = await import('../language/client.ts')"],
    ['src/extension/web/main.ts', "const client = await import('../../language/web/client.ts')"],
    ['src/cli/run.ts', "import { readFileSync } from 'node:fs'"],
    [
      'src/engine/decoder.ts',
      "import { Decoder } from 'iced-x86'\nimport { CR0_PE } from '../x86/control-registers.ts'",
    ],
    ['src/engine/mmu.ts', "// import { Vm } from '../vmm/vm.ts'"],
  ])('accepts in %s: %s', (file, source) => {
    expect(violationsIn(file, source)).toEqual([])
  })
})
