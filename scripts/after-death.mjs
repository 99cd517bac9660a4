/**
 * Clean up after a test run that was killed: `node scripts/after-death.mjs <folder>`, with the ids
 * of process groups to end as lines on stdin. Waits for the end of stdin, which comes with the end
 * of whoever started this, in whichever way; then ends the groups, stops the database servers whose
 * data is in the folder, and deletes it. After a run that has cleaned up by itself there is nothing
 * to do.
 */
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'

const [folder = ''] = process.argv.slice(2)
// Whatever ends the run must not end this.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined)

let text = ''
for await (const chunk of process.stdin) text += chunk

for (const group of text.split('\n').filter(Boolean)) end(-Number(group))
for (const server of servers(folder)) end(server)
fs.rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })

/** @param {number} id */
function end(id) {
  try {
    process.kill(id, 'SIGKILL')
  } catch {
    // Already gone.
  }
}

/**
 * The servers whose data is below the folder, or in a folder that a file below it names.
 *
 * @param {string} root
 */
function servers(root) {
  const names = fs.existsSync(root)
    ? fs.readdirSync(root, { recursive: true, encoding: 'utf8' })
    : []
  const paths = names.map((name) => join(root, name))
  const elsewhere = paths
    .filter((path) => path.endsWith('.location'))
    .map((path) => join(read(path).trim(), 'postmaster.pid'))
  return [...paths, ...elsewhere]
    .filter((path) => path.endsWith('postmaster.pid'))
    .map((path) => read(path).split('\n'))
    .filter(([pid, data]) => pid && data && commandOf(pid).includes(data))
    .map(([pid]) => Number(pid))
}

/** @param {string} path */
function read(path) {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/**
 * A process id may have gone to somebody else: the server's command names its data.
 *
 * @param {string} pid
 */
function commandOf(pid) {
  return spawnSync('ps', ['-ww', '-o', 'args=', '-p', pid], { encoding: 'utf8' }).stdout ?? ''
}
