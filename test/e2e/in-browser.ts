/**
 * The scenario in the browser: the extension and its adapter run in the page's own workers, as they do where there is no
 * machine behind the editor. F5 on the teaching kernel stops in its C source.
 */

import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Server } from './server.ts'
import { LAUNCH, lineOf, type Scenario, SOURCE, STOP } from './tour.ts'
import { Workbench } from './workbench.ts'

/** VS Code then runs the extension in the page although there is a machine. */
const SETTINGS = { 'remote.extensionKind': { 'ringside.ringside': ['web'] } }

export async function debugInBrowser({ tools, directory, work, extension, guests }: Scenario): Promise<void> {
  const folder = join(work, 'workspace')
  for (const part of ['tour', 'entry', 'prebuilt']) cpSync(join(guests, part), join(folder, part), { recursive: true })
  mkdirSync(join(folder, '.vscode'))
  writeFileSync(join(folder, '.vscode', 'launch.json'), JSON.stringify(LAUNCH, undefined, 2))
  const line = lineOf(join(folder, SOURCE), STOP)

  const server = await Server.start(tools, work, { extensions: [extension], settings: SETTINGS })
  try {
    const workbench = await Workbench.open(tools.chromium, server.url, folder, directory)
    try {
      await scenario(workbench, line)
    } catch (error) {
      await workbench.screenshot('in-browser-failed')
      throw error
    } finally {
      await workbench.close()
    }
  } finally {
    server.stop()
  }
  rmSync(work, { recursive: true, force: true, maxRetries: 5 })
}

async function scenario(workbench: Workbench, line: number): Promise<void> {
  await workbench.openFile(SOURCE, line)
  await workbench.breakAt(line)
  await workbench.showDebugView()
  await workbench.press('F5')
  await workbench.stopped()
  await workbench.row('call-stack', /give_page/).waitFor()
  await workbench.row('variables', /frame =\s*\d+/).waitFor()
  await workbench.terminalShows(/tour: page fault at 0x40010000 from ring 3, a write/)
  await workbench.screenshot('in-browser')
  await workbench.press('F5')
  await workbench.ended()
  await workbench.terminalShows(/tour: the program ended with status 0x0, powering off/)
}
