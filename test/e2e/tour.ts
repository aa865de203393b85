/** The scenario: F5 on the teaching kernel stops in its C source, and the workbench shows the machine. */

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Tools } from './install.ts'
import { Server } from './server.ts'
import { Workbench } from './workbench.ts'

export interface Scenario {
  readonly tools: Tools
  /** For screenshots. */
  readonly directory: string
  /** For everything else: removed when the scenario has passed. */
  readonly work: string
  /** The `.vsix`. */
  readonly extension: string
  /** `guests/` of the repository. */
  readonly guests: string
}

export const SOURCE = 'tour/paging.c'
/** In give_page(): the program touched new memory, and a frame for it has just been taken. */
export const STOP = 'map_page(address & FRAME, frame,'
/** What the program touched (`USER_HEAP` in kernel.h), as VS Code shows an integer. */
const HEAP = 0x4001_0000
export const LAUNCH = {
  version: '0.2.0',
  configurations: [
    {
      type: 'ringside',
      request: 'launch',
      name: 'Tour',
      program: `\${workspaceFolder}/prebuilt/tour.elf`,
      memory: '64M',
      rng: true,
    },
  ],
}

export async function debugTheTour({ tools, directory, work, extension, guests }: Scenario): Promise<void> {
  const folder = join(work, 'workspace')
  for (const part of ['tour', 'entry', 'prebuilt']) cpSync(join(guests, part), join(folder, part), { recursive: true })
  mkdirSync(join(folder, '.vscode'))
  writeFileSync(join(folder, '.vscode', 'launch.json'), JSON.stringify(LAUNCH, undefined, 2))
  const line = lineOf(join(folder, SOURCE), STOP)

  const server = await Server.start(tools, work, { extensions: [extension] })
  try {
    const workbench = await Workbench.open(tools.chromium, server.url, folder, directory)
    try {
      await scenario(workbench, line, theme => workbench.theme(THEMES[theme].name, THEMES[theme].kind))
    } catch (error) {
      await workbench.screenshot('failed')
      throw error
    } finally {
      await workbench.close()
    }
  } finally {
    server.stop()
  }
  rmSync(work, { recursive: true, force: true, maxRetries: 5 })
}

type UseTheme = (theme: keyof typeof THEMES) => Promise<void>

/** Themes that come with VS Code, and the class that the window then has. */
const THEMES = {
  dark: { name: 'Dark Modern', kind: 'vs-dark' },
  light: { name: 'Light Modern', kind: 'vs' },
  contrast: { name: 'Dark High Contrast', kind: 'hc-black' },
}

async function scenario(workbench: Workbench, line: number, use: UseTheme): Promise<void> {
  await workbench.openFile(SOURCE, line)
  await workbench.breakAt(line)
  await workbench.showDebugView()
  await workbench.press('F5')
  await workbench.stopped()
  await workbench.row('call-stack', /give_page/).waitFor()
  await workbench.row('call-stack', /user_main/).waitFor()
  await workbench.row('variables', new RegExp(`address =\\s*${HEAP}`)).waitFor()
  await workbench.row('variables', /frame =\s*\d+/).waitFor()
  await workbench.terminalShows(/tour: page fault at 0x40010000 from ring 3, a write/)
  await workbench.screenshot('stopped')

  await workbench.expand(workbench.row('variables', /General registers/))
  await workbench.row('variables', /rax =\s*0x/).waitFor()
  await workbench.screenshot('registers')

  await workbench.command('Open Disassembly View')
  await workbench.disassembly(/call.*map_page/).waitFor()
  await workbench.screenshot('disassembly')

  await lookAtTheMachine(workbench, use)

  await workbench.press('F5')
  await workbench.ended()
  await workbench.terminalShows(/tour: the program ended with status 0x0, powering off/)
  await workbench.terminalShows(/\[the guest has ended\]/)
  await workbench.screenshot('ended')
}

/** The container "Ringside" at that stop, in two themes. */
async function lookAtTheMachine(workbench: Workbench, use: UseTheme): Promise<void> {
  await use('dark')
  await workbench.showMachine()
  await workbench
    .pane('Processor')
    .row(/64-bit, CPL 0, 4-level paging/)
    .waitFor()
  await workbench
    .pane('Exits')
    .row(/io\s*[\d,]+/)
    .waitFor()
  await workbench.statusShows(/64-bit {2}CPL 0 {2}CR3 0x[0-9a-f]+ {2}[\d,]+ instructions/)

  const page = workbench.webview()
  await page.locator('#walk .node.end').waitFor()
  await page.locator('#expression').fill('address')
  await page.locator('#access').selectOption('write')
  // The program's page is not there yet: that is what the kernel is about to change.
  await page.locator('#walk .fault').filter({ hasText: 'entry is not present' }).waitFor()
  await page.locator('#walk h2').filter({ hasText: 'PML4[0]' }).waitFor()
  await workbench.widenSideBar()
  await workbench.screenshot('machine-dark')
  await use('light')
  await workbench.screenshot('machine-light')

  await workbench.collapse('Processor', 'Exits')
  await page.locator('#expression').fill('$rip')
  await page.locator('#expression').press('Enter')
  await page.locator('#walk').getByText('host-physical').waitFor()
  await page.locator('#walk details.ept summary').first().click()
  await workbench.screenshot('translation-light')
  await use('dark')
  await workbench.screenshot('translation-dark')

  await workbench.collapse('Address Translation')
  await workbench.expandPanes('Memory Map', 'Tables', 'Virtqueues', 'PCI Devices')
  await workbench.pane('Tables').row(/^IDT/).click()
  await workbench
    .pane('Tables')
    .row(/stub_\d+/)
    .waitFor()
  await workbench
    .pane('Virtqueues')
    .row(/requestq/)
    .waitFor()
  await workbench
    .pane('Memory Map')
    .row(/0x40000000/)
    .waitFor()
  await workbench.screenshot('tables-dark')
  await use('light')
  await workbench.screenshot('tables-light')

  await use('contrast')
  await workbench.expandPanes('Processor', 'Exits')
  await workbench.collapse('Memory Map', 'Tables', 'Virtqueues', 'PCI Devices')
  await workbench.pane('Exits').row(/^io/).click()
  await workbench.pane('Exits').row(/^io/).locator('.codicon-debug-breakpoint').waitFor()
  await workbench.press('F5')
  await workbench
    .pane('Processor')
    .row(/ring 0\s*(inb|outb)/)
    .waitFor()
  await workbench
    .pane('Exits')
    .row(/^io\s*486/)
    .waitFor()
  await workbench.screenshot('stopped-at-exit-high-contrast')
  await workbench.pane('Exits').row(/^io/).click()
  await workbench.pane('Exits').row(/^io/).locator('.codicon-circle-outline').waitFor()
  await use('dark')
}

export function lineOf(file: string, text: string): number {
  const index = readFileSync(file, 'utf8')
    .split('\n')
    .findIndex(line => line.includes(text))
  if (index < 0) throw new Error(`${file} has no line with ${text}`)
  return index + 1
}
