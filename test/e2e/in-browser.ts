/**
 * The scenario in the browser: the extension, its adapter and its language server run in the page's own workers, as they
 * do where there is no machine behind the editor. An assembly source is checked and explained; F5 on the teaching kernel
 * stops in its C source.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inWindow, lineOf, type Surroundings } from './scenario.ts'
import { SOURCE, STOP, TOUR } from './tour.ts'
import type { Workbench } from './workbench.ts'

/** VS Code then runs the extension in the page although there is a machine. */
const SETTINGS = { 'remote.extensionKind': { 'ringside.ringside': ['web'] } }

const ASSEMBLY = 'boot/start.asm'
/** Its second line is right only for who has read the file that the first one names. */
const ASSEMBLY_LINES = ['%include "macros.def"', 'stub 3', 'iretq', 'jmp missing']

export function debugInBrowser(surroundings: Surroundings): Promise<void> {
  const prepare = (folder: string): void => {
    mkdirSync(join(folder, 'boot'))
    writeFileSync(join(folder, ASSEMBLY), ASSEMBLY_LINES.join('\n'))
    writeFileSync(join(folder, 'boot', 'macros.def'), '%macro stub 1\n push %1\n%endmacro\n')
  }
  const beginning = { name: 'in-browser', configurations: [TOUR], settings: SETTINGS, prepare }
  return inWindow(surroundings, beginning, async (workbench, folder) => {
    await readAssembly(workbench)
    const line = lineOf(join(folder, SOURCE), STOP)
    await workbench.openFile(SOURCE, line)
    await workbench.breakAt(line)
    await workbench.showDebugView()
    await workbench.press('F5')
    await workbench.stopped()
    await workbench.row('call-stack', /give_page/).waitFor()
    await workbench.row('variables', /frame =\s*\d+/).waitFor()
    await workbench.terminalShows(/tour: page fault at 0x40010000 from ring 3, a write/)
    await workbench.screenshot('stopped')
    await workbench.press('F5')
    await workbench.ended()
    await workbench.terminalShows(/tour: the program ended with status 0x0, powering off/)
  })
}

async function readAssembly(workbench: Workbench): Promise<void> {
  await workbench.openFile(ASSEMBLY, ASSEMBLY_LINES.indexOf('iretq') + 1)
  await workbench.onlyProblemIs('"missing" is not defined.')
  await workbench.openFile(ASSEMBLY, ASSEMBLY_LINES.indexOf('iretq') + 1)
  await workbench.hoverShows(/pops RIP, CS, RFLAGS/)
  await workbench.screenshot('assembly')
}
