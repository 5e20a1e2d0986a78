// Answers each line of standard input with what the generated types make of it.
#include "sample.hpp"

#include <cstdio>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>

using namespace amphi_sample;

static std::string hex(const std::vector<std::uint8_t>& bytes) {
    std::string text;
    char pair[3];
    for (const std::uint8_t byte : bytes) {
        std::snprintf(pair, sizeof pair, "%02x", byte);
        text += pair;
    }
    return text;
}

static std::vector<std::uint8_t> unhex(const std::string& text) {
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2)
        bytes.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
    return bytes;
}

static std::string real(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    char text[10];
    std::snprintf(text, sizeof text, "x%08x", bits);
    return text;
}

static float unreal(const std::string& text) {
    const auto bits = static_cast<std::uint32_t>(std::stoul(text.substr(1), nullptr, 16));
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

static std::string answer(const std::string& what, std::istringstream& words) {
    std::ostringstream out;
    if (what == "Body") {
        std::int32_t row[9] = {};
        for (std::int32_t& number : row) words >> number;
        const Body body = Body::read(row);
        for (const std::int32_t at : body.at) out << at << ' ';
        out << real(body.height) << ' ' << body.turn << ' ' << body.owner << ' ' << int(body.level) << ' ' << int(body.tilt)
            << ' ' << body.awake;
        return out.str();
    }
    std::string first;
    words >> first;
    const auto bytes = what == "Hit" || what == "Bought" ? unhex(first) : std::vector<std::uint8_t>();
    if (what == "Hit") {
        Hit hit;
        if (Hit::KIND != 1 || !Hit::read_body(bytes.data(), bytes.size(), hit)) return "none";
        out << int(hit.seat);
        for (const std::int16_t at : hit.at) out << ' ' << at;
        out << ' ' << real(hit.strength);
        return out.str();
    }
    if (what == "Bought") {
        Bought bought;
        if (!Bought::read_body(bytes.data(), bytes.size(), bought)) return "none";
        out << bought.ok << ' ' << bought.gold;
        return out.str();
    }
    std::string second, third, fourth, fifth;
    words >> second >> third >> fourth >> fifth;
    if (what == "Buy") {
        Buy buy;
        buy.item = static_cast<std::uint16_t>(std::stoul(first));
        buy.count = static_cast<std::int8_t>(std::stoi(second));
        buy.price = unreal(third);
        return hex(buy.write());
    }
    Stick stick;
    stick.way = {static_cast<std::int8_t>(std::stoi(first)), static_cast<std::int8_t>(std::stoi(second))};
    stick.aim = unreal(third);
    stick.slot = static_cast<std::uint32_t>(std::stoul(fourth));
    stick.jump = fifth == "1";
    BitWriter to;
    stick.write(to);
    return hex(to.finish());
}

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string what;
        if (words >> what) std::cout << answer(what, words) << '\n';
    }
}
