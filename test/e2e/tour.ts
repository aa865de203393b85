/** The scenario: F5 on the teaching kernel stops in its C source, and the workbench shows the machine. */

import { join } from 'node:path'
import { inWindow, lineOf, type Surroundings, type Theme, useTheme } from './scenario.ts'
import type { Workbench } from './workbench.ts'

export const SOURCE = 'tour/paging.c'
/** In give_page(): the program touched new memory, and a frame for it is about to be taken. */
const TAKE = 'frame = take_frame()'
/** The next line: it has been taken. */
export const STOP = 'map_page(address & FRAME, frame,'
/** What the program touched (`USER_HEAP` in kernel.h), as VS Code shows an integer. */
const HEAP = 0x4001_0000
export const TOUR = { name: 'Tour', program: 'prebuilt/tour.elf', rng: true }

type UseTheme = (theme: Theme) => Promise<void>

export function debugTheTour(surroundings: Surroundings): Promise<void> {
  return inWindow(surroundings, { name: 'tour', configurations: [TOUR] }, (workbench, folder) =>
    scenario(workbench, lineOf(join(folder, SOURCE), TAKE), theme => useTheme(workbench, theme)),
  )
}

async function scenario(workbench: Workbench, line: number, use: UseTheme): Promise<void> {
  await workbench.openFile(SOURCE, line)
  await workbench.breakAt(line)
  await workbench.showDebugView()
  await workbench.press('F5')
  await workbench.stopped()
  await workbench.row('call-stack', new RegExp(`give_page.*${line}`)).waitFor()
  await workbench.press('F10')
  await workbench.row('call-stack', new RegExp(`give_page.*${line + 1}`)).waitFor()
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
  await workbench.collapse('Exits', 'Address Translation')
  const registers = workbench.pane('Processor').row(/^General registers/)
  await registers.click()
  // The next instruction loads it: the guest does not notice.
  await workbench.setRegister('rax', '0x1234')
  await registers.click()
  await workbench.expandPanes('Exits', 'Address Translation')
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
  await workbench
    .pane('PCI Devices')
    .row(/virtio entropy source/)
    .waitFor()
  await workbench.screenshot('tables-dark')
  await use('light')
  await workbench.screenshot('tables-light')

  await workbench.collapse('Memory Map', 'Tables', 'Virtqueues', 'PCI Devices')
  await workbench.expandPanes('Memory Picture', 'Stops', 'Timeline')
  const picture = workbench.webview()
  await picture.locator('#strips [role=option]').first().waitFor()
  await picture.locator('#strips').focus()
  await workbench.press('ArrowDown')
  await picture.locator('#details').filter({ hasText: 'Show memory' }).waitFor()
  await workbench.screenshot('memory-picture-light')
  await use('dark')
  await workbench.screenshot('memory-picture-dark')
  await workbench.collapse('Memory Picture', 'Stops', 'Timeline')

  await use('contrast')
  await workbench.expandPanes('Processor', 'Exits')
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
