/**
 * The scenario in the browser: the extension and its adapter run in the page's own workers, as they do where there is no
 * machine behind the editor. F5 on the teaching kernel stops in its C source.
 */

import { join } from 'node:path'
import { inWindow, lineOf, type Surroundings } from './scenario.ts'
import { SOURCE, STOP, TOUR } from './tour.ts'

/** VS Code then runs the extension in the page although there is a machine. */
const SETTINGS = { 'remote.extensionKind': { 'ringside.ringside': ['web'] } }

export function debugInBrowser(surroundings: Surroundings): Promise<void> {
  const beginning = { name: 'in-browser', configurations: [TOUR], settings: SETTINGS }
  return inWindow(surroundings, beginning, async (workbench, folder) => {
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
