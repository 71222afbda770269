// Honest people in real Yjs documents who type, delete, undo and redo, with slow lines between them and the server.
// argv: the folder of node_modules, the seed, how many sessions. Prints a JSON list: the updates of each in the order
// in which a server gets them, as hex, and the text that all end with.
import { createRequire } from 'node:module'

const Y = createRequire(`${process.argv[2]}/`)('yjs')
const PIECES = ['a', 'b\n', 'xyz', 'é', '漢字', '😀', 'a😀b']
const STEPS = 160

// mulberry32: small, seeded, good enough to choose with.
function seeded(seed) {
  let state = seed >>> 0
  return below => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

// A place between two characters.
function snap(text, at) {
  return text.charCodeAt(at) >>> 10 === 0x37 ? at - 1 : at
}

function edit(text, chance) {
  const shown = text.toString()
  const start = chance(3) ? snap(shown, chance(shown.length + 1)) : shown.length
  const end = snap(shown, Math.min(shown.length, start + [0, 0, 0, 2, 9][chance(5)]))
  if (end > start) text.delete(start, end - start)
  if (end <= start || chance(3) === 0) text.insert(start, PIECES[chance(PIECES.length)])
}

function session(seed) {
  const chance = seeded(seed)
  const received = []
  const people = [1, 2, 3].map(() => {
    const doc = new Y.Doc()
    doc.clientID = chance(2 ** 32)
    const text = doc.getText('text')
    const person = { doc, text, undo: new Y.UndoManager(text, { captureTimeout: chance(2) * 1e9 }), unsent: [], heard: 0 }
    doc.on('update', (update, origin) => {
      if (origin !== 'server') person.unsent.push(update)
    })
    return person
  })
  const send = person => {
    for (const update of person.unsent.splice(0)) received.push({ person, update })
  }
  const hear = person => {
    for (; person.heard < received.length; person.heard++) {
      const from = received[person.heard]
      if (from.person !== person) Y.applyUpdate(person.doc, from.update, 'server')
    }
  }
  for (let step = 0; step < STEPS; step++) {
    const person = people[chance(people.length)]
    const what = chance(20)
    if (what < 10) person.doc.transact(() => edit(person.text, chance))
    else if (what < 13) person.undo.undo()
    else if (what < 15) person.undo.redo()
    else if (what < 18) send(person)
    else hear(person)
  }
  people.forEach(send)
  people.forEach(hear)
  const texts = people.map(person => person.text.toString())
  if (new Set(texts).size !== 1) throw new Error(`seed ${seed}: honest people differ`)
  return {
    updates: received.map(({ person, update }) => [people.indexOf(person), Buffer.from(update).toString('hex')]),
    text: texts[0],
  }
}

const [seed, count] = process.argv.slice(3).map(Number)
process.stdout.write(JSON.stringify(Array.from({ length: count }, (_, at) => session(seed + at))))
