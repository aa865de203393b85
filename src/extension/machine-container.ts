/** The views of the container "Ringside", and what they need of each other. */

import * as vscode from 'vscode'
import type { AdapterLines } from './adapter-line/adapter-lines.ts'
import { MemoryDocuments } from './memory-documents.ts'
import { MemoryPictureView } from './memory-picture/picture-view.ts'
import { RingsView } from './rings/rings-view.ts'
import { ScreenView } from './screen/screen-view.ts'
import { SessionWatch } from './session-watch.ts'
import { showStatus } from './status-bar.ts'
import { TranslationView } from './translation/translation-view.ts'
import { registerViewCommands } from './view-commands.ts'
import { ViewStops } from './view-stops.ts'
import { machineViews } from './views/machine-views.ts'
import { MachineTree } from './views/tree-view.ts'

export function showMachine(context: vscode.ExtensionContext, lines: AdapterLines): vscode.Disposable {
  const watch = new SessionWatch(lines)
  const stops = new ViewStops()
  const memory = new MemoryDocuments(watch)
  const trees = machineViews(stops).map(definition => new MachineTree(definition, watch))
  const translation = new TranslationView(context.extensionUri, watch, memory, stops)
  const refresh = (): void => {
    for (const tree of trees) tree.refresh()
  }
  return vscode.Disposable.from(
    watch,
    stops,
    memory,
    ...trees,
    translation,
    new MemoryPictureView(context.extensionUri, watch, memory),
    new RingsView(context.extensionUri, watch, memory, stops),
    new ScreenView(context.extensionUri, watch, lines),
    showStatus(watch),
    stops.onDidChange(() => {
      for (const tree of trees) if (tree.showsStops) tree.refresh()
    }),
    registerViewCommands({ watch, stops, memory, refresh }),
  )
}
