"use strict";
// Plays a mix and any number of stems in time. All of them run together, and a choice is a change of gains: nothing stops, nothing starts.
// It knows nothing of the page: `onchange` is called when something of its state has changed.
class Player {
  static RAMP = 0.004; // time constant of changes of gain, in seconds: no click, and no gap that one hears
  static HEADROOM = 0.56; // mix and stem have peaks up to −1 dB; together they stay within full scale

  constructor(onchange = () => {}) {
    this.onchange = onchange;
    this.context = new (window.AudioContext || window.webkitAudioContext)({ latencyHint: "interactive" });
    this.master = new GainNode(this.context, { gain: Player.HEADROOM });
    this.master.connect(this.context.destination);
    this.buses = {};
    this.tracks = { mix: { level: 0, muted: false, solo: false }, stem: { level: -3, muted: false, solo: false } };
    for (const name of Object.keys(this.tracks)) {
      this.buses[name] = new GainNode(this.context, { gain: 0 });
      this.buses[name].connect(this.master);
    }
    this.sounds = []; // the mix, then the candidates
    this.seconds = 0;
    this.frames = 0;
    this.chosen = 0; // 0: the mix alone
    this.playing = false;
    this.loop = true;
    this.paused = 0; // position while nothing plays, in seconds
    this.origin = 0; // the context's time at position 0, while something plays
    this.setGains(true);
  }

  // New sounds, [{ audio: { base64 } or { url } or null }, …], the mix first, each of so many seconds.
  load(sounds, seconds) {
    this.pause();
    for (const sound of this.sounds) { sound.gain.disconnect(); }
    this.seconds = seconds;
    this.frames = Math.round(seconds * this.context.sampleRate);
    this.paused = 0;
    this.sounds = sounds.map(({ audio }, number) => ({ audio, number, buffer: null, error: null, source: null, gain: this.gainFor(number) }));
    this.choose(this.sounds.length > 1 ? 1 : 0);
    this.ready = Promise.all(this.sounds.map((sound) => this.decode(sound)));
    return this.ready;
  }

  gainFor(number) {
    const gain = new GainNode(this.context, { gain: number === 0 ? 1 : 0 });
    gain.connect(this.buses[number === 0 ? "mix" : "stem"]);
    return gain;
  }

  async decode(sound) {
    if (!sound.audio) { return; }
    try {
      const bytes = sound.audio.url === undefined
        ? Uint8Array.from(atob(sound.audio.base64), (character) => character.charCodeAt(0)).buffer
        : await this.fetched(sound);
      if (bytes) { sound.buffer = this.exact(await this.context.decodeAudioData(bytes)); }
    } catch {
      sound.error = "this browser cannot play it";
    }
    if (!this.sounds.includes(sound)) { return; } // others were loaded meanwhile
    if (sound.buffer && this.playing) { this.startSource(sound); }
    this.onchange();
  }

  // Its bytes; null, with the reason, where the server refuses them or does not answer.
  async fetched(sound) {
    const response = await fetch(sound.audio.url).catch(() => null);
    if (response?.ok) { return response.arrayBuffer(); }
    const { error } = response ? await response.json().catch(() => ({})) : {};
    sound.error = error ?? "the server does not answer";
    return null;
  }

  // Exactly as long as all others, so that they are repeated together.
  exact(buffer) {
    if (buffer.length === this.frames) { return buffer; }
    const result = new AudioBuffer({ length: this.frames, sampleRate: buffer.sampleRate });
    result.copyToChannel(buffer.getChannelData(0).subarray(0, this.frames), 0);
    return result;
  }

  position() {
    if (!this.playing) { return this.paused; }
    const elapsed = Math.max(0, this.context.currentTime - this.origin);
    return this.loop ? elapsed % this.seconds : Math.min(elapsed, this.seconds);
  }

  ended() { return this.playing && !this.loop && this.context.currentTime - this.origin >= this.seconds; }

  async play() {
    if (this.playing || !this.seconds) { return; }
    this.playing = true;
    this.start(this.paused >= this.seconds ? 0 : this.paused);
    this.onchange();
    await this.context.resume();
  }

  pause() {
    if (!this.playing) { return; }
    this.paused = this.position();
    this.playing = false;
    this.stopSources();
    this.onchange();
  }

  seek(seconds) {
    const position = Math.min(Math.max(0, seconds), Math.max(0, this.seconds - 0.01));
    if (this.playing) {
      this.stopSources();
      this.start(position);
    } else {
      this.paused = position;
    }
    this.onchange();
  }

  rewind() {
    this.pause();
    this.paused = 0;
    this.onchange();
  }

  start(position) {
    const rate = this.context.sampleRate;
    const first = Math.ceil((this.context.currentTime + 0.03) * rate); // a moment ahead, so that all of them are scheduled by then
    this.origin = (first - Math.round(position * rate)) / rate;
    for (const sound of this.sounds) { this.startSource(sound); }
  }

  // In whole samples after the origin: a sound that comes later is in time all the same.
  startSource(sound) {
    if (!sound.buffer) { return; }
    const rate = this.context.sampleRate;
    const origin = Math.round(this.origin * rate);
    const frame = Math.max(Math.ceil((this.context.currentTime + 0.02) * rate), origin);
    const position = frame - origin;
    if (!this.loop && position >= this.frames) { return; }
    const source = new AudioBufferSourceNode(this.context, { buffer: sound.buffer, loop: this.loop });
    const fade = new GainNode(this.context, { gain: position % this.frames ? 0 : 1 });
    if (position % this.frames) { fade.gain.setTargetAtTime(1, frame / rate, Player.RAMP); }
    source.connect(fade).connect(sound.gain);
    source.start(frame / rate, (position % this.frames) / rate);
    sound.source = source;
    sound.fade = fade;
  }

  stopSources() {
    const now = this.context.currentTime;
    for (const sound of this.sounds) {
      if (!sound.source) { continue; }
      sound.fade.gain.cancelScheduledValues(now);
      sound.fade.gain.setTargetAtTime(0, now, Player.RAMP);
      sound.source.stop(now + 8 * Player.RAMP);
      sound.source = null;
    }
  }

  choose(number) {
    this.chosen = Math.min(Math.max(0, number), this.sounds.length - 1);
    this.setGains();
    this.onchange();
  }

  setLoop(loop) {
    if (this.playing && !loop) { // the present round becomes the last one
      this.origin += Math.floor(Math.max(0, this.context.currentTime - this.origin) / this.seconds) * this.seconds;
    }
    this.loop = loop;
    for (const { source } of this.sounds) { if (source) { source.loop = loop; } }
    this.onchange();
  }

  // Any of { level (dB), muted, solo } of "mix" or "stem".
  setTrack(name, changes) {
    Object.assign(this.tracks[name], changes);
    this.setGains();
    this.onchange();
  }

  audible(name) {
    const { muted, solo } = this.tracks[name];
    return !muted && (solo || !Object.values(this.tracks).some((track) => track.solo));
  }

  setGains(atOnce = false) {
    const set = ({ gain }, value) => {
      const now = this.context.currentTime;
      gain.cancelScheduledValues(now);
      if (atOnce) { gain.value = value; } else { gain.setTargetAtTime(value, now, Player.RAMP); }
    };
    for (const [name, bus] of Object.entries(this.buses)) { set(bus, this.audible(name) ? 10 ** (this.tracks[name].level / 20) : 0); }
    for (const { gain, number } of this.sounds) { set(gain, number === 0 || number === this.chosen ? 1 : 0); }
  }
}
