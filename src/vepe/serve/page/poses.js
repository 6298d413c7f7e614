// All poses of one video that have arrived so far, by frame and by time, and who is seen when.

const NO_TRACK = -1;

/**
 * A person of a `frame` event, with flat keypoints: x, y, confidence; NaN if unknown. `name` is
 * what people read: the track id, unless the data name the person otherwise.
 */
export function readPerson(data) {
  const keypoints = new Float32Array(3 * data.keypoints.length);
  data.keypoints.forEach((values, k) => {
    const [x, y, confidence] = values ?? [null, null, 0];
    keypoints[3 * k] = x ?? NaN;
    keypoints[3 * k + 1] = y ?? NaN;
    keypoints[3 * k + 2] = confidence ?? 0;
  });
  const hasTrack = Number.isInteger(data.track_id);
  return {
    trackId: hasTrack ? data.track_id : NO_TRACK,
    name: data.name ?? (hasTrack ? String(data.track_id) : ""),
    score: data.score,
    keypoints,
    box: data.box,
  };
}

/** What decides a person's colour: the track id, or the place in the frame without one. */
export function numberOf(person, place) {
  return person.trackId === NO_TRACK ? place : person.trackId;
}

export class PoseStore {
  #frames = [];
  #tracks = new Map();

  get length() {
    return this.#frames.length;
  }

  get last() {
    return this.#frames.at(-1) ?? null;
  }

  /** Number of the next frame that is missing, for continuing after a lost connection. */
  get next() {
    return this.last === null ? 0 : this.last.frame + 1;
  }

  at(place) {
    return this.#frames[place] ?? null;
  }

  /** Track ids in the order of their first appearance: {id, runs: [{first, last, ...}], count}. */
  get tracks() {
    return [...this.#tracks.values()];
  }

  track(id) {
    return this.#tracks.get(id) ?? null;
  }

  clear() {
    this.#frames = [];
    this.#tracks.clear();
  }

  /** Adds a `frame` event. Frames come in order; one that is already here is left out. */
  add(data) {
    if (this.last !== null && data.frame <= this.last.frame) return;
    const place = this.#frames.length;
    const frame = { frame: data.frame, timeS: data.time_s, people: data.people.map(readPerson) };
    this.#frames.push(frame);
    for (const { trackId, score } of frame.people) {
      if (trackId === NO_TRACK) continue;
      let track = this.#tracks.get(trackId);
      if (!track) this.#tracks.set(trackId, (track = { id: trackId, runs: [], count: 0, sum: 0 }));
      const run = track.runs.at(-1);
      if (run && run.last === place - 1) [run.last, run.endS] = [place, frame.timeS];
      else if (!run || run.last < place) {
        track.runs.push({ first: place, last: place, startS: frame.timeS, endS: frame.timeS });
      }
      track.count += 1;
      track.sum += score;
    }
  }

  /** Mean time between frames in seconds; 0 with fewer than two. */
  get spacingS() {
    const count = this.#frames.length;
    return count < 2 ? 0 : (this.last.timeS - this.#frames[0].timeS) / (count - 1);
  }

  /** Place of the frame that a video shows at a time; -1 before the first or after the last. */
  shownAt(timeS) {
    const low = this.#firstFrom(timeS + 1e-4);
    const isAfter = low === this.length && timeS > this.last?.timeS + 1.5 * this.spacingS;
    return isAfter ? -1 : low - 1;
  }

  /** A time at which a video shows this frame, safe from rounding to the one before. */
  safeTime(place) {
    const { timeS } = this.#frames[place];
    const length = (this.#frames[place + 1]?.timeS ?? timeS + this.spacingS) - timeS;
    return timeS + 0.3 * length;
  }

  /** Place of the first frame at or after a time; the number of frames if there is none. */
  #firstFrom(timeS) {
    let [low, high] = [0, this.#frames.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#frames[middle].timeS < timeS) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Place of the frame nearest to a time; -1 if none is as near as a frame's length. */
  placeAt(timeS) {
    const frames = this.#frames;
    if (!frames.length) return -1;
    let low = Math.min(this.#firstFrom(timeS), frames.length - 1);
    if (low > 0 && timeS - frames[low - 1].timeS <= frames[low].timeS - timeS) low -= 1;
    // A video of uneven frame rate may have longer gaps than the mean between two frames.
    const gap = Math.max(
      this.spacingS,
      low > 0 ? frames[low].timeS - frames[low - 1].timeS : 0,
      low + 1 < frames.length ? frames[low + 1].timeS - frames[low].timeS : 0,
    );
    return Math.abs(frames[low].timeS - timeS) <= 0.75 * (gap || 0.04) ? low : -1;
  }

  /**
   * People seen within `seconds` before or after a frame but not in it: the nearest sighting of
   * each on either side.
   */
  nearby(place, seconds) {
    const here = this.#frames[place];
    const result = [];
    for (const step of [-1, 1]) {
      const seen = new Set(here.people.map(keyOf));
      for (let i = place + step; i >= 0 && i < this.#frames.length; i += step) {
        if (Math.abs(this.#frames[i].timeS - here.timeS) > seconds) break;
        this.#frames[i].people.forEach((person, n) => {
          if (seen.has(keyOf(person, n))) return;
          seen.add(keyOf(person, n));
          result.push(person);
        });
      }
    }
    return result;
  }
}

function keyOf(person, place) {
  return person.trackId === NO_TRACK ? `place ${place}` : person.trackId;
}
