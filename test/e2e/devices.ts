/** Scenarios with devices: a virtqueue drawn as a ring, keys for the guest's screen, text for its serial console. */

import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { assembleFlat, assembleMultiboot } from '../support/test-guest.ts'
import { inWindow, lineOf, type Surroundings, type Theme, useTheme } from './scenario.ts'
import type { Workbench } from './workbench.ts'

const QUEUE_SOURCE = 'virtqueue/kernel.c'
const KICK = '// #kick'
const CONFIGURATIONS = [
  { name: 'Queue', program: 'prebuilt/virtqueue.elf', rng: true, disks: ['disk.img'] },
  { name: 'Echo', program: 'prebuilt/echo.elf' },
  { name: 'Keyboard', program: 'prebuilt/keyboard.bin' },
]
const LOOKS: readonly Theme[] = ['dark', 'light']

export function useDevices(surroundings: Surroundings): Promise<void> {
  const prepare = (folder: string): void => {
    copyFileSync(assembleMultiboot('echo'), join(folder, 'prebuilt', 'echo.elf'))
    copyFileSync(assembleFlat('keyboard'), join(folder, 'prebuilt', 'keyboard.bin'))
    writeFileSync(join(folder, 'disk.img'), new Uint8Array(65_536))
  }
  const beginning = { name: 'devices', configurations: CONFIGURATIONS, prepare }
  return inWindow(surroundings, beginning, async (workbench, folder) => {
    await lookAtQueue(workbench, lineOf(join(folder, QUEUE_SOURCE), KICK))
    await typeInTerminal(workbench)
    await typeAtScreen(workbench)
  })
}

/** Stops where the driver is about to notify the device, lets it, and looks at the ring. */
async function lookAtQueue(workbench: Workbench, line: number): Promise<void> {
  await workbench.openFile(QUEUE_SOURCE, line)
  await workbench.breakAt(line)
  await workbench.showDebugView()
  await workbench.start('Queue')
  await workbench.stopped()
  await workbench.showMachine()
  await workbench.widenSideBar()
  await workbench.collapse('Processor', 'Exits', 'Address Translation')
  await workbench.expandPanes('Virtqueue Rings')
  const page = workbench.webview()
  await page.locator('#title').filter({ hasText: 'requestq: split, 8 entries' }).waitFor()
  await page.locator('#ring .segment[aria-label^="available ring, slot 0: available"]').click()
  await page
    .locator('#chain')
    .filter({ hasText: /read, sector 2, 512 bytes/ })
    .waitFor()
  await inThemes(workbench, 'ring-posted', LOOKS)
  // The device answers a little later: out of notify(), and over wait().
  for (const key of ['Shift+F11', 'F10', 'F10']) await workbench.step(key)
  await page.locator('#ring .segment[aria-label^="used ring, slot 0: used"]').waitFor()
  await page.locator('#completed').waitFor()
  await workbench.screenshot('ring-used')
  await workbench.collapse('Virtqueue Rings')
  await workbench.expandPanes('Virtqueues')
  await workbench
    .pane('Virtqueues')
    .row(/requestq/)
    .waitFor()
  await inThemes(workbench, 'virtqueues', LOOKS)
  await workbench.stop()
}

async function typeInTerminal(workbench: Workbench): Promise<void> {
  await workbench.start('Echo')
  await workbench.terminalShows(/ready/)
  await workbench.type('hello, guest')
  await workbench.terminalShows(/HELLO, GUEST/)
  await workbench.screenshot('terminal')
  await workbench.type('.')
  await workbench.ended()
}

async function typeAtScreen(workbench: Workbench): Promise<void> {
  await workbench.start('Keyboard')
  await workbench.collapse('Virtqueues')
  await workbench.expandPanes('Screen')
  const page = workbench.webview()
  await page.locator('#text').filter({ hasText: /\S/ }).waitFor({ state: 'attached' })
  await page.locator('#screen').click()
  await workbench.press('a')
  // Scan code set 1: the key A pressed and let go.
  await page
    .locator('#text')
    .filter({ hasText: /1E.*9E/i })
    .waitFor({ state: 'attached' })
  // Until it is let go, F1 would be the guest's too.
  await page.locator('#capture').click()
  await inThemes(workbench, 'screen', LOOKS)
  await page.locator('#screen').click()
  await workbench.press('Escape')
  await workbench.ended()
  await page.locator('#status').filter({ hasText: 'The guest has ended.' }).waitFor()
}

async function inThemes(workbench: Workbench, name: string, themes: readonly Theme[]): Promise<void> {
  for (const theme of themes) {
    await useTheme(workbench, theme)
    await workbench.screenshot(`${name}-${theme}`)
  }
}
