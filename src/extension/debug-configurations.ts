/** What F5 launches: configurations offered, completed and checked before a session starts. */

import * as vscode from 'vscode'
import { DEBUG_TYPE } from './debug-type.ts'
import { findKernels } from './find-kernels.ts'
import type { HostFiles } from './host-files.ts'
import {
  complaint,
  configurationFor,
  tourConfiguration,
  withAbsolutePaths,
  withDefaults,
} from './launch-configuration.ts'

const OPEN = 'Open launch.json'
const TOUR = 'Debug the Tour'

export function provideDebugConfigurations(context: vscode.ExtensionContext, host: HostFiles): vscode.Disposable[] {
  const { Initial, Dynamic } = vscode.DebugConfigurationProviderTriggerKind
  const found = (folder: vscode.WorkspaceFolder | undefined) => configurationsIn(folder, host)
  const provider: vscode.DebugConfigurationProvider = {
    provideDebugConfigurations: found,

    async resolveDebugConfiguration(folder, configuration) {
      // F5 without a launch.json comes with nothing at all.
      const chosen =
        Object.keys(configuration).length > 0
          ? configuration
          : await choose(folder, await found(folder), context.extensionPath)
      return chosen === undefined ? undefined : withDefaults(chosen)
    },

    async resolveDebugConfigurationWithSubstitutedVariables(folder, configuration) {
      const complete = withAbsolutePaths(configuration, folder?.uri.fsPath)
      const wrong = await complaint(complete, host)
      if (wrong === undefined) return complete
      const answer = await vscode.window.showErrorMessage(`Ringside can't launch "${complete.name}": ${wrong}.`, OPEN)
      // VS Code opens launch.json for null, and does nothing for undefined.
      return answer === OPEN ? null : undefined
    },
  }
  return [
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, provider, Initial),
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, { provideDebugConfigurations: found }, Dynamic),
    vscode.commands.registerCommand('ringside.debugTour', () =>
      vscode.debug.startDebugging(undefined, tourConfiguration(context.extensionPath)),
    ),
  ]
}

async function configurationsIn(
  folder: vscode.WorkspaceFolder | undefined,
  host: HostFiles,
): Promise<vscode.DebugConfiguration[]> {
  return folder === undefined ? [] : (await findKernels(folder, host)).map(configurationFor)
}

/** The one kernel of a folder, or the one that the user picks; undefined when there is none and none is wanted. */
async function choose(
  folder: vscode.WorkspaceFolder | undefined,
  found: readonly vscode.DebugConfiguration[],
  extensionPath: string,
): Promise<vscode.DebugConfiguration | undefined> {
  if (found.length === 1) return found[0]
  if (found.length > 1) {
    const items = found.map(configuration => ({ label: configuration.name, configuration }))
    return (await vscode.window.showQuickPick(items, { title: 'Which kernel?' }))?.configuration
  }
  const where = folder === undefined ? 'No folder is open' : `There is no kernel in ${folder.name}`
  const advice = 'name one as "program" in launch.json, or take the teaching kernel that comes with Ringside'
  const answer = await vscode.window.showInformationMessage(`${where}: ${advice}.`, TOUR)
  return answer === TOUR ? tourConfiguration(extensionPath) : undefined
}
