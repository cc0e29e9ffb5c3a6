/** Before a package is packed: builds it, and puts the licence beside it, which npm takes from nowhere else. */
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { command } from './command.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

const { exitCode, output } = await command('npm', ['run', 'build'])
if (exitCode !== 0) {
  console.error(output)
  process.exit(exitCode)
}
await copyFile(join(root, 'LICENSE'), join(process.cwd(), 'LICENSE'))
