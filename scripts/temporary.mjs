/**
 * Where tests keep their database servers and files.
 */
import * as fs from 'node:fs'
import { freemem, tmpdir } from 'node:os'
import { join } from 'node:path'

/** A file system in memory, on Linux. */
const MEMORY = '/dev/shm'
/** What a run of the tests may fill, with room for the programs that it starts. */
const ROOM_BYTES = 6 * 1024 ** 3

/**
 * A new folder under the temporary one. Where TMPDIR is not set and memory has room, the temporary
 * one is in memory: there a clone of the template database takes 30 ms, on a disk 500 ms.
 *
 * @param {string} name
 */
export function temporaryFolder(name) {
  const folder = fs.mkdtempSync(join(home(), name))
  // Open to pass through: the tests may run as root, and the server then runs as somebody else.
  fs.chmodSync(folder, 0o711)
  return folder
}

function home() {
  return process.env.TMPDIR === undefined && memoryHasRoom() ? MEMORY : tmpdir()
}

function memoryHasRoom() {
  try {
    fs.accessSync(MEMORY, fs.constants.W_OK)
    const { bavail, bsize } = fs.statfsSync(MEMORY)
    return Math.min(bavail * bsize, freemem()) > ROOM_BYTES
  } catch {
    // There is none, as on other systems.
    return false
  }
}
