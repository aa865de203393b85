/** What the walkthrough's links do: they start kernels and open sources, and complete nothing. */

import * as vscode from 'vscode'
import { DEBUG_TYPE } from '../debug-type.ts'
import { DISK_NAME, diskImage } from './disk-image.ts'
import { isGuestSource, lineOf } from './guest-sources.ts'
import { KERNELS, type Kernel } from './observation.ts'
import type { Progress } from './progress.ts'
import { lessonOf, STEPS } from './steps.ts'

export function registerWalkthroughCommands(context: vscode.ExtensionContext, progress: Progress): vscode.Disposable {
  return vscode.Disposable.from(
    vscode.commands.registerCommand('ringside.debugModes', () => debug(context, 'modes')),
    vscode.commands.registerCommand('ringside.debugVirtqueue', async () => {
      const disk = vscode.Uri.joinPath(context.globalStorageUri, DISK_NAME)
      await vscode.workspace.fs.writeFile(disk, diskImage())
      // A comma of the path is written twice: options stand behind the first.
      return debug(context, 'virtqueue', { disks: [`${disk.fsPath.replaceAll(',', ',,')},readonly`] })
    }),
    vscode.commands.registerCommand('ringside.startLesson', (kernel: unknown) => startLesson(context, kernel)),
    vscode.commands.registerCommand('ringside.openGuestSource', (file: unknown, place: unknown) =>
      openSource(context, file, place),
    ),
    vscode.commands.registerCommand('ringside.openWalkthrough', () => openWalkthrough(context, progress)),
    vscode.commands.registerCommand('ringside.restartWalkthrough', async () => {
      await progress.beginAgain()
      await openWalkthrough(context, progress)
    }),
  )
}

function debug(context: vscode.ExtensionContext, kernel: string, more: object = {}): Thenable<boolean> {
  return vscode.debug.startDebugging(undefined, {
    ...{ type: DEBUG_TYPE, request: 'launch', name: `Ringside: the ${kernel}` },
    program: vscode.Uri.joinPath(context.extensionUri, 'guests', 'prebuilt', `${kernel}.elf`).fsPath,
    ...{ memory: '64M', stopOnEntry: true, ...more },
  })
}

/** Where each kernel begins, and the command that debugs it. */
const LESSONS: Readonly<Record<Kernel, { file: string; command: string }>> = {
  tour: { file: 'entry/entry.asm', command: 'ringside.debugTour' },
  modes: { file: 'modes/modes.asm', command: 'ringside.debugModes' },
  virtqueue: { file: 'entry/entry.asm', command: 'ringside.debugVirtqueue' },
}

/** Opens the kernel's first source, so that stops are shown there, and not in place of the walkthrough. */
async function startLesson(context: vscode.ExtensionContext, kernel: unknown): Promise<void> {
  const known = KERNELS.find(each => each === kernel)
  if (known === undefined) throw new Error(`there is no teaching kernel "${String(kernel)}"`)
  const { file, command } = LESSONS[known]
  await openSource(context, file, 'start')
  await vscode.commands.executeCommand(command)
}

/** Beside the walkthrough, so that both can be read. */
async function openSource({ extensionUri }: vscode.ExtensionContext, file: unknown, place: unknown): Promise<void> {
  if (!isGuestSource(file)) throw new Error(`${String(file)} is no source of a teaching kernel`)
  const document = await vscode.workspace.openTextDocument(vscode.Uri.joinPath(extensionUri, 'guests', file))
  const line = lineOf(document.getText(), String(place)) ?? 0
  await vscode.window.showTextDocument(document, {
    viewColumn: vscode.ViewColumn.Beside,
    selection: new vscode.Range(line, 0, line, 0),
  })
}

/** The first one that is not completed, or else the first. */
async function openWalkthrough({ extension }: vscode.ExtensionContext, progress: Progress): Promise<void> {
  const [next = STEPS[0]] = progress.undone()
  await vscode.commands.executeCommand('workbench.action.openWalkthrough', `${extension.id}#${lessonOf(next)}`)
}
