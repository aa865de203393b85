/** The command that makes a launch configuration of a QEMU command line. */

import * as vscode from 'vscode'
import { CommandLineError, importCommandLine } from './qemu-command-line.ts'

const ADD = 'Add to launch.json'
const DEBUG = 'Debug Now'

export function provideImport(): vscode.Disposable {
  return vscode.commands.registerCommand('ringside.importQemu', importQemu)
}

async function importQemu(): Promise<void> {
  const text = await vscode.window.showInputBox({
    title: 'Import a QEMU Command Line',
    prompt: 'The command line, or what a Makefile runs; relative files are those of the folder',
    placeHolder: 'qemu-system-x86_64 -kernel bzImage -initrd initramfs.gz -append "console=ttyS0" -m 1G',
    validateInput: value => (value === '' ? undefined : complaintAbout(value)),
  })
  if (text === undefined || text === '') return
  const { configuration, notes } = importCommandLine(text)
  const [folder] = vscode.workspace.workspaceFolders ?? []
  const said = notes.length === 0 ? 'Everything was taken over.' : `Left out: ${notes.join('; ')}.`
  const choices = folder === undefined ? [DEBUG] : [ADD, DEBUG]
  const answer = await vscode.window.showInformationMessage(`${configuration.name}. ${said}`, ...choices)
  if (answer === DEBUG) await vscode.debug.startDebugging(folder, configuration)
  if (answer === ADD && folder !== undefined) {
    const launch = vscode.workspace.getConfiguration('launch', folder.uri)
    const present = launch.get<readonly object[]>('configurations', [])
    await launch.update('configurations', [...present, configuration], vscode.ConfigurationTarget.WorkspaceFolder)
    await vscode.window.showTextDocument(vscode.Uri.joinPath(folder.uri, '.vscode', 'launch.json'))
  }
}

function complaintAbout(text: string): string | undefined {
  try {
    importCommandLine(text)
    return undefined
  } catch (error) {
    if (error instanceof CommandLineError) return error.message
    throw error
  }
}
